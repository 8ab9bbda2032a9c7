"""The reader of config.toml: a configuration or a refusal."""

import tempfile
from pathlib import Path

from chargepki.config import FILE_NAME, load_config
from chargepki.errors import Refused

SEEDS = (
    b'[server]\napi_port = 0\nhostnames = ["localhost"]\n[store]\ntype = "postgres"\ndsn = "postgresql://user@host/database"\n',
    b'[profiles."ocpp/station"]\nvalidity_days = 90\nkeys = ["ec-p256"]\n[ocpp]\nrenew_before_days = 30\n[keys]\ndirectory = "k"\n',
    b'[status]\ncrl_lifetime_hours = 24\n[pki]\norganization = "x"\n[server]\npublic_status_url = "http://status.example.org"\n',
)
_DIRECTORY = Path(tempfile.mkdtemp(prefix="chargepki-fuzz-"))


def one_input(data: bytes) -> None:
    (_DIRECTORY / FILE_NAME).write_bytes(data)
    try:
        load_config(_DIRECTORY, environment={}).explain()
    except Refused:
        return


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
