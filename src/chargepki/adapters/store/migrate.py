"""Brings a database to the schema of this code, or refuses it when it is ahead."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from chargepki.adapters.store.backend import Backend
from chargepki.errors import Broken

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(backend: Backend) -> None:
    """Upgrades to the newest revision, in one transaction and under a lock. `Broken` when the database is newer than the code."""
    try:
        with backend.writer.begin() as connection:
            backend.lock_for_migration(connection)
            _upgrade(connection)
    except SQLAlchemyError as error:
        raise backend.failure(error) from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    here = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := here - known:
        raise Broken(
            f"the database has the schema {', '.join(sorted(unknown))}, which this version of ChargePKI does not know",
            hint="run the newer version of ChargePKI that wrote it, or restore a backup made before the upgrade",
        )
    if here != set(script.get_heads()):
        command.upgrade(config, "head")
