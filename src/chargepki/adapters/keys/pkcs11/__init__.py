"""Keys in a token behind a PKCS#11 module: an HSM, a card, SoftHSM."""
