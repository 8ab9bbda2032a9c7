"""Input and output: small, replaceable implementations of `chargepki.ports`. Only `app.py` and `testing` import them."""
