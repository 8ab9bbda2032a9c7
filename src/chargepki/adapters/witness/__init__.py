"""Witnesses: asked by the node, and run for others."""
