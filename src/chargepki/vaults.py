"""The composition root of the keys: opens whichever vault the configuration names."""

from chargepki.adapters.keys.aws_kms import AwsKmsVault
from chargepki.adapters.keys.divided import DividedVault
from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.passphrase import development_passphrase, passphrase_from_file, passphrase_from_terminal
from chargepki.adapters.keys.pkcs11.vault import Pkcs11Vault
from chargepki.adapters.keys.secret_box import FileSecretBox
from chargepki.adapters.keys.signer.client import SignerVault
from chargepki.config import AwsKmsSection, Config, FileKeysSection, Pkcs11Section, SignerKeysSection
from chargepki.errors import Broken
from chargepki.ports import KeyVault, SecretBox


def open_keys(config: Config) -> tuple[KeyVault, SecretBox]:
    """The vault, and the box for small secrets beside it. One passphrase opens both, and it is asked for once."""
    passphrase = sealed_files_passphrase(config)
    return open_vault(config, passphrase), FileSecretBox.ensure(config.keys_directory(), passphrase)


def open_vault(config: Config, passphrase: bytes | None = None) -> KeyVault:
    """The vault that `[keys]` names. It reads files, may ask at the terminal and takes a moment: run it in a thread.

    Whatever holds keys that never leave is joined by sealed files for those made to leave. `passphrase`: of those files, where it was
    asked for already.
    """
    match config.keys:
        case FileKeysSection():
            return open_sealed_files(config, passphrase)
        case Pkcs11Section() as keys:
            return DividedVault(open_token(config, keys), open_sealed_files(config, passphrase))
        case AwsKmsSection() as keys:
            fixed = AwsKmsVault.open(keys.region, keys.alias_prefix, endpoint=keys.endpoint)
            return DividedVault(fixed, open_sealed_files(config, passphrase))
        case SignerKeysSection() as keys:
            return SignerVault(config.resolve(keys.socket))


def open_signers_vault(config: Config) -> KeyVault:
    """The vault behind a signer, which is never another signer."""
    if isinstance(config.keys, SignerKeysSection):
        raise Broken("a signer holds keys itself: its config.toml names another signer", hint='[keys] type = "file" or "pkcs11"')
    return open_vault(config)


def close_vault(vault: KeyVault) -> None:
    """Ends what the vault holds open outside this process: the sessions of a token."""
    fixed = vault.fixed if isinstance(vault, DividedVault) else vault
    if isinstance(fixed, Pkcs11Vault):
        fixed.close()


def open_sealed_files(config: Config, passphrase: bytes | None = None) -> FileVault:
    """Made when there are none yet."""
    directory = config.keys_directory()
    passphrase = sealed_files_passphrase(config) if passphrase is None else passphrase
    return FileVault.open(directory, passphrase) if FileVault.exists(directory) else FileVault.create(directory, passphrase)


def sealed_files_passphrase(config: Config) -> bytes:
    """From its file; a development platform keeps its own; any other asks at the terminal."""
    passphrase_file = config.sealed_files.passphrase
    if passphrase_file is not None:
        return passphrase_from_file(config.resolve(passphrase_file.file))
    return development_passphrase(config.keys_directory()) if config.pki.development else passphrase_from_terminal()


def open_token(config: Config, keys: Pkcs11Section, *, risks_final_try: bool = False) -> Pkcs11Vault:
    """`risks_final_try`: log in although one more wrong PIN would lock the token."""
    return Pkcs11Vault.open(
        keys.module, keys.token, pin_of_token(config, keys), sessions_max=keys.sessions_max, risks_final_try=risks_final_try
    )


def pin_of_token(config: Config, keys: Pkcs11Section) -> bytes | None:
    """None: it is typed at the device itself."""
    if keys.pin is not None:
        return passphrase_from_file(config.resolve(keys.pin.file))
    return passphrase_from_terminal(f"PIN of the token {keys.token} (nothing: at its own pad): ") or None
