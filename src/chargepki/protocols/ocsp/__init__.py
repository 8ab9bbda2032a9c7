"""OCSP over plain HTTP (RFC 6960 appendix A, RFC 5019): answers are signed, so the transport need not be."""
