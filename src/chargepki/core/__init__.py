"""The pure domain: bytes and values in, bytes and values out. No I/O, clock, randomness, globals or logging."""
