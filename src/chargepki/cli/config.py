"""chargepki config: what the platform would run with, and why. Works without a server."""

from chargepki.cli.desk import noun

app = noun("config", "The configuration: show, check, explain.")
