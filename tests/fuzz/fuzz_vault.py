"""The readers of the file vault: damaged files are reported as damaged, and never cost more than the program grants."""

from chargepki.adapters.keys.sealing import DerivationCost, new_vault_header, open_vault_header, read_handle
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable

_PASSPHRASE = b"a passphrase for the fuzzer"
_HEADER, _MASTER = new_vault_header(_PASSPHRASE, DerivationCost(memory_kib=64, iterations=1, lanes=1))

SEEDS = (_HEADER,)


def one_input(data: bytes) -> None:
    cut = len(data) % len(_HEADER)
    for header in (data, _HEADER[:cut] + data[:4] + _HEADER[cut + 4 :]):
        try:
            open_vault_header(header, _PASSPHRASE)
        except VaultUnavailable:
            continue
    try:
        read_handle(_MASTER, KeyRef("key_fuzz"), data)
    except VaultUnavailable:
        return


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
