"""Findings of judges that a standard of this field overrules. Each with the clause; none is waived anywhere else."""

from typing import Final

PKILINT_WAIVERS: Final[frozenset[str]] = frozenset()
