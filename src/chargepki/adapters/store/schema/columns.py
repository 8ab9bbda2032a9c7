"""What the tables share: their metadata, the names of their constraints, and the kinds of their columns."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Text, text

# PostgreSQL orders "C" text by octet, as SQLite does: cursors and prefix ranges mean the same on both.
ID: Final = Text().with_variant(Text(collation="C"), "postgresql")
SEQ: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts INTEGER PRIMARY KEY only

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def seq() -> Column[int]:
    return Column("seq", SEQ, primary_key=True, autoincrement=True)


def party() -> Column[str]:
    """Whose the row is; "" is the platform's, as is everything older than parties."""
    return Column("party", ID, nullable=False, server_default=text("''"))


def partial(name: str, *columns: str, where: str) -> Index:
    """An index over the rows that a search looks for. SQLite takes it only for a query that says `where` too, in the same words."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))
