"""The OCPP endpoint: stations connect here over a TLS web socket, get their certificates and keep them fresh."""
