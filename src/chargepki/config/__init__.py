"""The configuration: DIR/config.toml, environment and flags become one checked value.

A flag wins over the environment (`CHARGEPKI_SERVER__API_PORT`), the environment over the file, the file over the default; no file at
all is a working development platform. Secrets are never values here, only the names of files that hold them.
"""

from chargepki.config.model import Config, Explanation, load_config
from chargepki.config.sections import AwsKmsSection, FileKeysSection, Pkcs11Section, SignerKeysSection
from chargepki.config.sources import FILE_NAME

__all__ = [
    "FILE_NAME",
    "AwsKmsSection",
    "Config",
    "Explanation",
    "FileKeysSection",
    "Pkcs11Section",
    "SignerKeysSection",
    "load_config",
]
