"""The keeper of a HashiCorp Vault: its transit engine wraps data keys, and its keys stay there.

NOT RUN AGAINST A SERVER: written to the documented HTTP API and tested against a local server that
speaks these shapes only.

Source: https://developer.hashicorp.com/vault/api-docs/secret/transit (encrypt, decrypt, rewrap)
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from sealing.errors import KeeperUnavailable, SecretFileDamaged
from sealing.keepers import KeeperKind, KeyUse
from sealing.secret_files import read_mounted_file

_TIMEOUT_S: Final = 10.0
_ANSWER_BYTES_MAX: Final = 65_536
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_OK: Final = 200
_DENIED: Final = 403
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404


class VaultKeeper:
    """Implements `sealing.keepers.KeyKeeper` with one transit key per use: `{prefix}-{use}`.

    The token is read from its file for each request: an agent may renew it there. TLS is verified,
    and plain HTTP is refused except on this machine. Give each process a token whose policy allows
    the keys of its own uses only.
    """

    kind = KeeperKind.VAULT

    def __init__(
        self,
        address: str,
        token_file: Path,
        *,
        mount: str = "transit",
        prefix: str = "perp-dex",
        namespace: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise KeeperUnavailable(
                "expected an https address in PERP_DEX_VAULT_ADDRESS, found "
                f"{parts.scheme or 'no'!r} scheme; a token must not travel in the clear"
            )
        self._address = address.rstrip("/")
        self._token_file = token_file
        self._mount = mount.strip("/")
        self._prefix = prefix
        self._namespace = namespace
        self._ca_file = ca_file

    def where(self) -> str:
        """Say which Vault it is."""
        return f"Vault transit at {urlsplit(self._address).hostname} (not run against a server)"

    def wrap(self, use: KeyUse, data_key: bytes) -> bytes:
        """Wrap a data key under the key's newest version. See the port."""
        plaintext = base64.b64encode(data_key).decode()
        return _text(self._ask("encrypt", use, {"plaintext": plaintext}), "ciphertext").encode()

    def unwrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Give a data key back, whichever version of the key wrapped it. See the port."""
        data = self._ask("decrypt", use, {"ciphertext": _spelled(wrapped)})
        try:
            return base64.b64decode(_text(data, "plaintext"), validate=True)
        except ValueError:
            raise KeeperUnavailable("expected base64 in Vault's answer, found none") from None

    def rewrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Wrap under the key's newest version; the data key does not leave Vault for that."""
        data = self._ask("rewrap", use, {"ciphertext": _spelled(wrapped)})
        return _text(data, "ciphertext").encode()

    def _ask(self, action: str, use: KeyUse, body: Mapping[str, str]) -> Mapping[str, Any]:
        import httpx2

        name = f"{self._prefix}-{use.value}"
        path = "/".join(quote(part, safe="") for part in (*self._mount.split("/"), action, name))
        headers = {"X-Vault-Token": self._token(), "X-Vault-Request": "true"}
        if self._namespace:
            headers["X-Vault-Namespace"] = self._namespace
        try:
            with httpx2.Client(
                verify=self._tls(), timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False
            ) as client:
                answer = client.post(f"{self._address}/v1/{path}", json=dict(body), headers=headers)
        except httpx2.HTTPError as error:
            raise KeeperUnavailable(
                f"{self.where()} does not answer ({type(error).__name__}); check "
                "PERP_DEX_VAULT_ADDRESS, its certificate (PERP_DEX_VAULT_CA_FILE) and that it is "
                "unsealed"
            ) from None
        if answer.status_code == _BAD_REQUEST and action != "encrypt":
            raise SecretFileDamaged(
                f"Vault does not open this key file with its key {name!r}: the file was changed, "
                "or that version of the key is no longer allowed; restore it from a backup"
            )
        if answer.status_code != _OK or len(answer.content) > _ANSWER_BYTES_MAX:
            raise KeeperUnavailable(_refusal(answer.status_code, action, name))
        try:
            data = answer.json()["data"]
        except (ValueError, KeyError, TypeError):
            data = None
        if not isinstance(data, dict):
            raise KeeperUnavailable(f"expected JSON with data from {self.where()}, found other")
        return data

    def _token(self) -> str:
        return read_mounted_file(self._token_file).strip().decode("ascii", "replace")

    def _tls(self) -> Any:
        import ssl

        return ssl.create_default_context(cafile=self._ca_file)


def _refusal(status: int, action: str, name: str) -> str:
    # Never the answer's text: it is another system's, and errors are logged.
    advice = {
        _DENIED: f"its token may not {action} with {name!r}; give it a policy for that",
        _NOT_FOUND: "there is no such mount; check PERP_DEX_VAULT_MOUNT",
        _BAD_REQUEST: f"it has no key {name!r}; run: vault write -f transit/keys/{name}",
    }.get(status, "see Vault's own log")
    return f"Vault refused to {action} (HTTP {status}): {advice}"


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise KeeperUnavailable(f"expected {name!r} in Vault's answer, found none")
    return value


def _spelled(wrapped: bytes) -> str:
    text = wrapped.decode("ascii", "replace")
    if not text.startswith("vault:v"):
        raise SecretFileDamaged("expected a key file wrapped by Vault (vault:v…), found another")
    return text
