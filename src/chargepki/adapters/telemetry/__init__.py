"""What the outside sees of our health: metrics, liveness, readiness, logs."""
