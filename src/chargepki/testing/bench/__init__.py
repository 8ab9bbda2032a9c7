"""What the platform does per CPU-second, measured from outside: a real server, real sockets, durable commits."""
