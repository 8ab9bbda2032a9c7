"""One module per OCPP version: its payloads to canonical values and back."""
