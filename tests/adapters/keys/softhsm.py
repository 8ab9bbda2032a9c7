"""A software token for tests: SoftHSM 2 with a token directory of its own."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so")
PIN, SO_PIN = b"correct-1234", "officer-5678"
CONFIGURATION = "directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"


def softhsm_module() -> Path:
    """Skips where SoftHSM is not installed (tools/test-deps does that)."""
    for path in map(Path, MODULES):
        if path.exists():
            return path
    pytest.skip("softhsm2 is not installed")


@dataclass(frozen=True)
class SoftHsm:
    """SOFTHSM2_CONF is read when the module is initialised, so only one of these is in use at a time."""

    directory: Path
    module: Path = field(default_factory=softhsm_module)

    @property
    def configuration(self) -> Path:
        return self.directory / "softhsm2.conf"

    @property
    def tokens(self) -> Path:
        return self.directory / "tokens"

    def set_up(self, *labels: str) -> None:
        self.tokens.mkdir()
        self.configuration.write_text(CONFIGURATION.format(tokens=self.tokens))
        for label in labels:
            self.util("--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN.decode())

    def util(self, *arguments: str) -> str:
        environment = {**os.environ, "SOFTHSM2_CONF": str(self.configuration)}
        done = subprocess.run(["softhsm2-util", *arguments], env=environment, capture_output=True, text=True, check=True)
        return done.stdout
