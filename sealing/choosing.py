"""Which keeper a process uses, from its settings: the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from sealing.errors import KeeperUnavailable
from sealing.file_keeper import FileKeeper
from sealing.keepers import KeeperKind, KeyKeeper, KeyUse
from sealing.keyring_keeper import Backend, KeyringKeeper, secure_backend
from sealing.passphrase import Passphrase
from sealing.pkcs11_keeper import Pkcs11Keeper
from sealing.vault_keeper import VaultKeeper

Given = TypeVar("Given")

AUTO = "auto"
"""The system keyring if there is one that encrypts, else the protected file."""


class KeeperOptions(Protocol):
    """The settings that choose a keeper; every secret among them is the path of a file."""

    @property
    def key_keeper(self) -> str:
        """`auto`, or a `KeeperKind`."""
        ...

    @property
    def key_passphrase_file(self) -> Path | None:
        """The passphrase of all uses; None: a machine key per use."""
        ...

    @property
    def private_key_passphrase_file(self) -> Path | None:
        """The passphrase of the uses that open credentials, where it is another one."""
        ...

    @property
    def vault_address(self) -> str | None:
        """Where Vault is, https."""
        ...

    @property
    def vault_token_file(self) -> Path | None:
        """The file with Vault's token."""
        ...

    @property
    def vault_mount(self) -> str:
        """Where the transit engine is mounted."""
        ...

    @property
    def vault_key_prefix(self) -> str:
        """What the names of transit keys begin with."""
        ...

    @property
    def vault_namespace(self) -> str | None:
        """The namespace, of Vault Enterprise."""
        ...

    @property
    def vault_ca_file(self) -> Path | None:
        """The certificate authority of Vault, where it is no public one."""
        ...

    @property
    def pkcs11_library(self) -> Path | None:
        """The token's library (.so)."""
        ...

    @property
    def pkcs11_token(self) -> str | None:
        """The token's label."""
        ...

    @property
    def pkcs11_pin_file(self) -> Path | None:
        """The file with the token's user PIN."""
        ...


@dataclass(slots=True)
class OpenKeepers:
    """Implements `sealing.keepers.Keepers`: makes each keeper when it is first asked for.

    `only` None: every key file may name its own keeper, whatever is chosen for new ones.
    """

    makers: Mapping[KeeperKind, Callable[[], KeyKeeper]]
    first: KeeperKind
    only: frozenset[KeeperKind] | None
    passed_over: str | None = None
    _made: dict[KeeperKind, KeyKeeper] = field(default_factory=dict)

    @property
    def chosen(self) -> KeyKeeper:
        """The keeper of new key files."""
        return self._make(self.first)

    def of(self, kind: KeeperKind) -> KeyKeeper:
        """Return the keeper a key file names. See the port."""
        if self.only is not None and kind not in self.only:
            allowed = ", ".join(sorted(each.value for each in self.only))
            raise KeeperUnavailable(
                f"a key file is kept by {kind.value!r}, but the settings allow {allowed}; set "
                f"PERP_DEX_KEY_KEEPER={kind.value}, or move it: perp-dex keys rewrap"
            )
        return self._make(kind)

    def former_passphrase(self) -> Passphrase:
        """Return what key files were under before keepers could be chosen."""
        keeper = self._make(KeeperKind.FILE)
        assert isinstance(keeper, FileKeeper)  # noqa: S101 - what makers says of FILE
        return keeper.former_passphrase()

    def _make(self, kind: KeeperKind) -> KeyKeeper:
        if kind not in self._made:
            self._made[kind] = self.makers[kind]()
        return self._made[kind]


def open_keepers(
    options: KeeperOptions,
    secrets_directory: Path,
    *,
    moving: bool = False,
    backend: Callable[[], Backend] = secure_backend,
) -> OpenKeepers:
    """Return the keepers that the settings allow; `moving`: key files of any keeper are read.

    Raises:
        KeeperUnavailable: the settings name a keeper that cannot be used here; it says why.
    """
    makers = _makers(options, secrets_directory, backend)
    if options.key_keeper != AUTO:
        first = KeeperKind(options.key_keeper)
        keepers = OpenKeepers(makers, first, None if moving else frozenset({first}))
        # Said at the start, not when the first key file is read.
        _ = keepers.chosen
        return keepers
    passed_over = None
    first = KeeperKind.KEYRING
    try:
        makers[KeeperKind.KEYRING]()
    except KeeperUnavailable as error:
        first, passed_over = KeeperKind.FILE, str(error)
    local = frozenset({KeeperKind.KEYRING, KeeperKind.FILE})
    return OpenKeepers(makers, first, None if moving else local, passed_over)


def file_keepers(
    secrets_directory: Path, passphrase_files: Mapping[KeyUse, Path] | None = None
) -> OpenKeepers:
    """Return keepers of which only the protected file is used."""
    return OpenKeepers(
        {KeeperKind.FILE: lambda: FileKeeper(secrets_directory, passphrase_files)},
        KeeperKind.FILE,
        frozenset({KeeperKind.FILE}),
    )


def _makers(
    options: KeeperOptions, directory: Path, backend: Callable[[], Backend]
) -> dict[KeeperKind, Callable[[], KeyKeeper]]:
    return {
        KeeperKind.FILE: lambda: FileKeeper(directory, _passphrase_files(options)),
        KeeperKind.KEYRING: lambda: KeyringKeeper(backend()),
        KeeperKind.VAULT: lambda: VaultKeeper(
            _given("PERP_DEX_VAULT_ADDRESS", options.vault_address),
            _given("PERP_DEX_VAULT_TOKEN_FILE", options.vault_token_file),
            mount=options.vault_mount,
            prefix=options.vault_key_prefix,
            namespace=options.vault_namespace,
            ca_file=options.vault_ca_file,
        ),
        KeeperKind.PKCS11: lambda: Pkcs11Keeper(
            _given("PERP_DEX_PKCS11_LIBRARY", options.pkcs11_library),
            _given("PERP_DEX_PKCS11_TOKEN", options.pkcs11_token),
            _given("PERP_DEX_PKCS11_PIN_FILE", options.pkcs11_pin_file),
        ),
    }


def _passphrase_files(options: KeeperOptions) -> dict[KeyUse, Path]:
    files: dict[KeyUse, Path] = {}
    if options.key_passphrase_file is not None:
        files = dict.fromkeys(KeyUse, options.key_passphrase_file)
    if options.private_key_passphrase_file is not None:
        private = options.private_key_passphrase_file
        files |= {KeyUse.WORKER: private, KeyUse.STREAMING: private}
    return files


def _given(name: str, value: Given | None) -> Given:
    if value is None:
        raise KeeperUnavailable(f"the chosen keeper needs {name}; set it")
    return value
