"""Listening: TCP, TLS and HTTP, up to the ASGI application behind a door."""
