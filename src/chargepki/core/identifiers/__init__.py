"""Names that people and devices carry: parsed once, true from then on."""
