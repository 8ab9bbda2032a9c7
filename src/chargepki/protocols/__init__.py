"""How others speak to us: thin siblings that never import each other."""
