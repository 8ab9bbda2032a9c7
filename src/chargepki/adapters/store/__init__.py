"""The platform's memory: SQLite for one machine, PostgreSQL for several (docs/adr/0002-store.md)."""

from chargepki.adapters.store.sql_store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
