"""How others speak to the platform: one package per protocol. `wire.py` is pure, `server.py` routes; they never import each other."""
