"""A charging station in software: a real OCPP client over TLS web sockets, with its own keys and its own opinion of certificates."""
