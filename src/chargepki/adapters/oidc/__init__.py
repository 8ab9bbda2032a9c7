"""An OpenID Connect relying party: what `services/openid.py` asks of a provider (docs/adr/0011-sign-in.md)."""
