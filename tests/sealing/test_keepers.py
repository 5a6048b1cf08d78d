"""Keepers: where key-encryption keys live, and which are refused."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import keyring.backends.chainer
import keyring.backends.fail
import keyring.backends.null
import keyring.backends.SecretService
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from process.key_settings import KeySettings
from sealing.choosing import open_keepers
from sealing.errors import KeeperUnavailable, SecretFileDamaged, SecretFileMissing
from sealing.keepers import KeeperKind, KeyKeeper, KeyUse
from sealing.kept_file import rewrap_kept
from sealing.key_ring import ensure_key_ring, load_key_ring, rotate_key_ring
from sealing.keyring_keeper import Backend, KeyringKeeper, secure_backend
from sealing.pkcs11_keeper import Pkcs11Keeper
from sealing.secret_files import create_file
from sealing.vault_keeper import VaultKeeper

TOKEN = "hvs.a-token-that-nobody-may-see"
DATA_KEY = bytes(range(32))


class PlaintextKeyring:
    """What `keyrings.alt` would offer: a file anyone can read."""


class MemoryKeyring:
    """A keyring as `keyring` shows one, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def _check(self) -> None:
        if self.locked:
            raise RuntimeError("locked; the collection has the secret canary-4711")


class Transit:
    """The documented transit API: versioned keys, encrypt, decrypt, rewrap."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.keys = {name: [secrets.token_bytes(32)] for name in names}
        self.asked: list[str] = []

    def answer(self, action: str, name: str, body: dict[str, str]) -> tuple[int, Any]:
        self.asked.append(f"{action} {name}")
        versions = self.keys.get(name)
        if versions is None:
            return 400, {"errors": ["encryption key not found"]}
        try:
            if action == "encrypt":
                return 200, self._encrypted(versions, base64.b64decode(body["plaintext"]))
            plain = self._opened(versions, body["ciphertext"])
        except (InvalidTag, ValueError, IndexError):
            return 400, {"errors": ["invalid ciphertext"]}
        if action == "rewrap":
            return 200, self._encrypted(versions, plain)
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}

    def _encrypted(self, versions: list[bytes], plain: bytes) -> Any:
        nonce = secrets.token_bytes(12)
        sealed = base64.b64encode(nonce + AESGCM(versions[-1]).encrypt(nonce, plain, None)).decode()
        text = f"vault:v{len(versions)}:{sealed}"
        return {"data": {"ciphertext": text, "key_version": len(versions)}}

    def _opened(self, versions: list[bytes], text: str) -> bytes:
        _, version, sealed = text.split(":")
        raw = base64.b64decode(sealed, validate=True)
        return AESGCM(versions[int(version[1:]) - 1]).decrypt(raw[:12], raw[12:], None)


@dataclass
class VaultServer:
    """A local server that speaks the documented shapes; no Vault."""

    transit: Transit
    address: str
    override: tuple[int, bytes] | None = None
    headers: dict[str, str] | None = None


@contextmanager
def serving(transit: Transit) -> Iterator[VaultServer]:
    server = VaultServer(transit, "")

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[int] = 5

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            _, version, mount, action, name = self.path.split("/")
            server.headers = dict(self.headers)
            if server.override is not None:
                status, content = server.override
            elif self.headers["X-Vault-Token"] != TOKEN:
                status, content = 403, b'{"errors": ["permission denied"]}'
            elif (version, mount) != ("v1", "transit"):
                status, content = 404, b'{"errors": ["no handler for route"]}'
            else:
                status, answer = transit.answer(action, name, body)
                content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    with serving(Transit(("perp-dex-payload", "perp-dex-worker"))) as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "vault-token"
    create_file(path, TOKEN.encode() + b"\n")
    return path


def no_keyring() -> Backend:
    return secure_backend(keyring.backends.fail.Keyring())


def settings(**values: Any) -> KeySettings:
    return KeySettings.model_validate({f"PERP_DEX_{key.upper()}": v for key, v in values.items()})


@pytest.mark.parametrize(
    "found",
    [
        PlaintextKeyring(),
        keyring.backends.fail.Keyring(),
        keyring.backends.null.Keyring(),
        MemoryKeyring(),
    ],
)
def test_a_keyring_that_is_not_known_to_encrypt_is_refused(found: Any) -> None:
    with pytest.raises(KeeperUnavailable, match="PERP_DEX_KEY_KEEPER=file") as refused:
        secure_backend(found)
    assert type(found).__module__ in str(refused.value)


def test_a_chain_of_keyrings_is_followed_only_to_one_that_encrypts() -> None:
    class Chain(keyring.backends.chainer.ChainerBackend):
        backends: ClassVar[list[Any]] = []

    Chain.__module__, Chain.__qualname__ = "keyring.backends.chainer", "ChainerBackend"
    real = object.__new__(keyring.backends.SecretService.Keyring)
    chain = object.__new__(Chain)
    Chain.backends = [PlaintextKeyring(), real]
    assert secure_backend(chain) is real
    Chain.backends = [PlaintextKeyring()]
    with pytest.raises(KeeperUnavailable, match="PlaintextKeyring"):
        secure_backend(chain)


def test_what_this_machine_has_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.null.Keyring)
    with pytest.raises(KeeperUnavailable, match=r"keyring\.backends\.null"):
        secure_backend()


def test_without_a_keyring_auto_takes_the_protected_file(directory: Path) -> None:
    keepers = open_keepers(settings(), directory, backend=no_keyring)
    assert keepers.chosen.kind is KeeperKind.FILE
    assert "Argon2id" in keepers.chosen.where()
    assert "system keyring" in (keepers.passed_over or "")
    with pytest.raises(KeeperUnavailable, match="system keyring"):
        open_keepers(settings(key_keeper="keyring"), directory, backend=no_keyring)


def test_a_keyring_keeps_a_ring_and_nothing_lies_beside_it(directory: Path) -> None:
    memory = MemoryKeyring()
    keepers = open_keepers(settings(), directory, backend=lambda: memory)
    path = directory / "payload-keys"
    ring = ensure_key_ring(path, keepers)
    again = open_keepers(settings(key_keeper="keyring"), directory, backend=lambda: memory)
    assert load_key_ring(path, again) == ring
    rotated = rotate_key_ring(path, again)
    assert load_key_ring(path, again) == rotated
    assert len(memory.kept) == 1
    assert sorted(each.name for each in directory.iterdir()) == [
        "payload-keys",
        "payload-keys.lock",
    ]
    # The keyring is gone, and nothing else is taken in its place.
    with pytest.raises(KeeperUnavailable, match="system keyring"):
        load_key_ring(path, open_keepers(settings(), directory, backend=no_keyring))
    with pytest.raises(KeeperUnavailable, match="perp-dex keys rewrap"):
        load_key_ring(path, open_keepers(settings(key_keeper="file"), directory))


def test_a_keyring_that_fails_is_named_without_its_words() -> None:
    memory = MemoryKeyring()
    keeper = KeyringKeeper(memory)
    wrapped = keeper.wrap(KeyUse.WORKER, DATA_KEY)
    assert keeper.unwrap(KeyUse.WORKER, wrapped) == DATA_KEY
    moved = keeper.rewrap(KeyUse.WORKER, wrapped)
    assert keeper.unwrap(KeyUse.WORKER, moved) == DATA_KEY
    assert moved.partition(b"\n")[0] != wrapped.partition(b"\n")[0]
    memory.locked = True
    acts: tuple[Callable[[], object], ...] = (
        lambda: keeper.unwrap(KeyUse.WORKER, wrapped),
        lambda: fresh(memory),
    )
    for act in acts:
        with pytest.raises(KeeperUnavailable, match="RuntimeError") as refused:
            act()
        assert "canary" not in str(refused.value)
    memory.locked = False
    memory.kept.update(dict.fromkeys(memory.kept, "no base64!"))
    with pytest.raises(SecretFileDamaged, match="no key"):
        keeper.unwrap(KeyUse.WORKER, wrapped)
    memory.kept.update({entry: base64.b64encode(bytes(32)).decode() for entry in memory.kept})
    with pytest.raises(SecretFileDamaged, match="changed"):
        keeper.unwrap(KeyUse.WORKER, wrapped)
    memory.kept.clear()
    with pytest.raises(KeeperUnavailable, match="no entry"):
        keeper.unwrap(KeyUse.WORKER, wrapped)


def fresh(memory: MemoryKeyring) -> bytes:
    return KeyringKeeper(memory).wrap(KeyUse.WORKER, DATA_KEY)


def test_a_keyring_that_keeps_something_else_is_not_trusted() -> None:
    class Forgetful(MemoryKeyring):
        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = base64.b64encode(bytes(32)).decode()

    with pytest.raises(KeeperUnavailable, match="something else"):
        fresh(Forgetful())


def test_one_uses_key_is_not_anothers(
    directory: Path, vault: VaultServer, token_file: Path
) -> None:
    kept: list[KeyKeeper] = [
        KeyringKeeper(MemoryKeyring()),
        open_keepers(settings(key_keeper="file"), directory).chosen,
        VaultKeeper(vault.address, token_file),
    ]
    for keeper in kept:
        wrapped = keeper.wrap(KeyUse.WORKER, DATA_KEY)
        assert DATA_KEY not in wrapped
        assert keeper.unwrap(KeyUse.WORKER, keeper.rewrap(KeyUse.WORKER, wrapped)) == DATA_KEY
        with pytest.raises(SecretFileDamaged):
            keeper.unwrap(KeyUse.PAYLOAD, wrapped)


def test_private_keys_may_have_a_passphrase_of_their_own(tmp_path: Path, directory: Path) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    create_file(shared, b"the passphrase of all three")
    create_file(private, b"the passphrase of workers")
    both = settings(
        key_keeper="file", key_passphrase_file=shared, private_key_passphrase_file=private
    )
    worker = open_keepers(both, directory).chosen
    api = open_keepers(settings(key_keeper="file", key_passphrase_file=shared), directory).chosen
    assert "passphrase file" in api.where()
    payload = worker.wrap(KeyUse.PAYLOAD, DATA_KEY)
    assert api.unwrap(KeyUse.PAYLOAD, payload) == DATA_KEY
    with pytest.raises(SecretFileDamaged):
        api.unwrap(KeyUse.WORKER, worker.wrap(KeyUse.WORKER, DATA_KEY))


def test_vault_wraps_under_its_newest_key_and_opens_older_ones(
    directory: Path, vault: VaultServer, token_file: Path
) -> None:
    chosen = settings(
        key_keeper="vault",
        vault_address=vault.address,
        vault_token_file=token_file,
        vault_namespace="desk",
    )
    keepers = open_keepers(chosen, directory)
    path = directory / "payload-keys"
    ring = ensure_key_ring(path, keepers)
    assert vault.headers is not None
    assert (vault.headers["X-Vault-Namespace"], vault.headers["X-Vault-Request"]) == (
        "desk",
        "true",
    )
    vault.transit.keys["perp-dex-payload"].append(secrets.token_bytes(32))
    assert load_key_ring(path, keepers) == ring
    before = json.loads(path.read_text())
    assert base64.b64decode(before["wrapped"]).startswith(b"vault:v1:")
    vault.transit.asked.clear()
    rewrap_kept(path, keepers, KeyUse.PAYLOAD)
    assert vault.transit.asked == ["rewrap perp-dex-payload"]
    after = json.loads(path.read_text())
    assert base64.b64decode(after["wrapped"]).startswith(b"vault:v2:")
    assert after["sealed"] == before["sealed"]
    assert load_key_ring(path, keepers) == ring


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ((403, b"{}"), "policy"),
        ((404, b"{}"), "PERP_DEX_VAULT_MOUNT"),
        ((503, b'{"errors": ["Vault is sealed"]}'), "Vault's own log"),
        ((307, b""), "HTTP 307"),
        ((200, b"no json"), "expected JSON"),
        ((200, b'{"data": []}'), "expected JSON"),
        ((200, b'{"data": {}}'), "'ciphertext'"),
        ((200, b" " * 70_000), "HTTP 200"),
    ],
)
def test_what_vault_refuses_is_said_without_its_words(
    vault: VaultServer, token_file: Path, override: tuple[int, bytes], message: str
) -> None:
    keeper = VaultKeeper(vault.address, token_file)
    vault.override = override
    with pytest.raises(KeeperUnavailable, match=message) as refused:
        keeper.wrap(KeyUse.WORKER, DATA_KEY)
    assert TOKEN not in str(refused.value)
    vault.override = (200, b'{"data": {"plaintext": "no base64!"}}')
    with pytest.raises(KeeperUnavailable):
        keeper.unwrap(KeyUse.WORKER, b"vault:v1:AAAA")


def test_vault_without_key_token_or_answer(
    vault: VaultServer, token_file: Path, tmp_path: Path
) -> None:
    keeper = VaultKeeper(vault.address, token_file)
    with pytest.raises(KeeperUnavailable, match="vault write -f transit/keys/perp-dex-streaming"):
        keeper.wrap(KeyUse.STREAMING, DATA_KEY)
    for wrapped in (b"other", b"vault:v1:AAAA", b"vault:v9:AAAA"):
        with pytest.raises(SecretFileDamaged):
            keeper.unwrap(KeyUse.WORKER, wrapped)
    with pytest.raises(SecretFileMissing):
        VaultKeeper(vault.address, tmp_path / "none").wrap(KeyUse.WORKER, DATA_KEY)
    create_file(tmp_path / "wrong", b"another token")
    with pytest.raises(KeeperUnavailable, match="policy"):
        VaultKeeper(vault.address, tmp_path / "wrong").wrap(KeyUse.WORKER, DATA_KEY)
    with pytest.raises(KeeperUnavailable, match="does not answer"):
        # TLS is asked for, and not there.
        address = vault.address.replace("http:", "https:")
        VaultKeeper(address, token_file).wrap(KeyUse.WORKER, DATA_KEY)
    for address in ("http://vault.example:8200", "vault.example", "ftp://127.0.0.1"):
        with pytest.raises(KeeperUnavailable, match="https"):
            VaultKeeper(address, token_file)


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"key_keeper": "vault"}, "PERP_DEX_VAULT_ADDRESS"),
        ({"key_keeper": "vault", "vault_address": "https://v"}, "PERP_DEX_VAULT_TOKEN_FILE"),
        ({"key_keeper": "pkcs11"}, "PERP_DEX_PKCS11_LIBRARY"),
        ({"key_keeper": "pkcs11", "pkcs11_library": "/x.so"}, "PERP_DEX_PKCS11_TOKEN"),
    ],
)
def test_a_keeper_says_which_setting_it_lacks(
    directory: Path, values: dict[str, Any], missing: str
) -> None:
    with pytest.raises(KeeperUnavailable, match=missing):
        open_keepers(settings(**values), directory)


def test_a_token_whose_library_does_not_load_is_named(tmp_path: Path) -> None:
    create_file(tmp_path / "pin", b"1234")
    keeper = Pkcs11Keeper(tmp_path / "none.so", "perp-dex", tmp_path / "pin")
    with pytest.raises(KeeperUnavailable, match="PERP_DEX_PKCS11_LIBRARY"):
        keeper.wrap(KeyUse.WORKER, DATA_KEY)
    with pytest.raises(SecretFileDamaged, match="found one of"):
        keeper.unwrap(KeyUse.WORKER, b"perp-dex-payload-1\nxyz")


def test_key_files_move_from_one_keeper_to_another(
    directory: Path, vault: VaultServer, token_file: Path
) -> None:
    path = directory / "payload-keys"
    ring = ensure_key_ring(path, open_keepers(settings(key_keeper="file"), directory))
    chosen = settings(key_keeper="vault", vault_address=vault.address, vault_token_file=token_file)
    with pytest.raises(KeeperUnavailable, match="perp-dex keys rewrap"):
        load_key_ring(path, open_keepers(chosen, directory))
    rewrap_kept(path, open_keepers(chosen, directory, moving=True), KeyUse.PAYLOAD)
    assert load_key_ring(path, open_keepers(chosen, directory)) == ring
