"""Key vaults: private keys go in, signatures come out."""
