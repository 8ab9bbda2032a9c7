"""CRLs and issuer certificates over plain HTTP (RFC 2585, RFC 5280 4.2.1.13 and 4.2.2.1): signed octets, so no TLS."""
