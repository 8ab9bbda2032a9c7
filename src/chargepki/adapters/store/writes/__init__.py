"""Each `ports.Change` as statements: what is written, what must hold, and who explains it when it does not."""

from chargepki.adapters.store.writes.changes import operations_of
from chargepki.adapters.store.writes.order import ORDER
from chargepki.adapters.store.writes.write import Operation, Write
from chargepki.adapters.store.writes.write_set import WriteSet

__all__ = ["ORDER", "Operation", "Write", "WriteSet", "operations_of"]
