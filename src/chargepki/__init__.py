"""ChargePKI: the open certificate authority platform for EV charging."""

__version__ = "0.1.0"
