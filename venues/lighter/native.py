"""The venue's own signer: the shared library inside the `lighter-sdk` wheel, called through ctypes.

Loaded by its path, without importing the package `lighter`, whose HTTP client is not wanted here.
Every call names account, key index and nonce: left out, the library would ask the venue by itself,
blocking. It keeps a client for each (account, key) and is safe between threads. Signs whatever it
is asked to; what may be asked is the matter of `signing`.

Source: lighter-sdk 1.1.8, `signer_client.py` (argument types, names of the files).
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_PACKAGE: Final = "lighter"
_FILES: Final = {
    ("Linux", "x86_64"): "lighter-signer-linux-amd64.so",
    ("Linux", "aarch64"): "lighter-signer-linux-arm64.so",
    ("Darwin", "x86_64"): "lighter-signer-darwin-amd64.dylib",
    ("Darwin", "arm64"): "lighter-signer-darwin-arm64.dylib",
}
#: The library wants an address and uses it only where it asks the venue, which it never shall.
_NOWHERE: Final = b"http://127.0.0.1:9"
_INT: Final = ctypes.c_int
_LONG: Final = ctypes.c_longlong
_BYTE: Final = ctypes.c_uint8


class SignerMissing(Exception):
    """The library is not there, or not for this machine."""


class NotSigned(Exception):
    """The library refuses; its words have nothing of a key in them."""


class _Signed(ctypes.Structure):
    _fields_ = [
        ("txType", ctypes.c_uint8),
        ("txInfo", ctypes.c_void_p),
        ("txHash", ctypes.c_void_p),
        ("messageToSign", ctypes.c_void_p),
        ("err", ctypes.c_void_p),
    ]


class _TextOrError(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("err", ctypes.c_void_p)]


class _KeyPair(ctypes.Structure):
    _fields_ = [
        ("privateKey", ctypes.c_void_p),
        ("publicKey", ctypes.c_void_p),
        ("err", ctypes.c_void_p),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeTransaction:
    """A signed transaction: its type, the venue's JSON, and the hash that names it for ever."""

    tx_type: int
    tx_info: str
    tx_hash: str


#: Arguments between the function's own and (nonce, key index, account index).
_SIGNATURES: Final[dict[str, list[Any]]] = {
    "SignCreateOrder": [
        _LONG, _LONG, _LONG, _INT, _INT, _INT, _INT, _INT, _INT, _LONG,
        _LONG, _INT, _INT, _BYTE, _BYTE, _BYTE, _LONG, _INT, _LONG,
    ],
    "SignCancelOrder": [_LONG, _LONG, _BYTE, _LONG, _INT, _LONG],
    "SignCancelAllOrders": [_INT, _LONG, _LONG, _BYTE, _LONG, _INT, _LONG],
    "SignUpdateLeverage": [_LONG, _INT, _INT, _BYTE, _LONG, _INT, _LONG],
}  # fmt: skip


def library_path() -> Path:
    """Return where the wheel's library for this machine is; imports nothing of the package.

    Raises:
        SignerMissing: there is none.
    """
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    name = _FILES.get((platform.system(), machine))
    if name is None:
        raise SignerMissing(
            f"expected one of {', '.join(f'{a} {b}' for a, b in _FILES)} for Lighter's signer, "
            f"found {platform.system()} {machine}"
        )
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "signers" / name
        if path.is_file():
            return path
    raise SignerMissing(f"expected {name} of lighter-sdk in {sys.prefix}, found none: install it")


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, _Signed
    library.CreateClient.argtypes = [ctypes.c_char_p, ctypes.c_char_p, _INT, _INT, _LONG]
    library.CreateClient.restype = ctypes.c_void_p
    library.CreateAuthToken.argtypes = [_LONG, _INT, _LONG]
    library.CreateAuthToken.restype = _TextOrError
    library.GenerateAPIKey.argtypes = []
    library.GenerateAPIKey.restype = _KeyPair
    library.Free.argtypes = [ctypes.c_void_p]
    library.Free.restype = None
    return library


def _take(library: ctypes.CDLL, pointer: int | None) -> str | None:
    """Read a text and give its memory back to the library, which allocated it."""
    if not pointer:
        return None
    try:
        value = ctypes.cast(pointer, ctypes.c_char_p).value
        return None if value is None else value.decode()
    finally:
        library.Free(pointer)


class NativeSigner:
    """The library's clients of one chain; a key is given to it when first used.

    The library keeps one key for each (account, index) in the whole process. So whoever signs
    holds `_LOCK` from naming its key to having the signature: two credentials of one account
    (one is being rotated out) cannot sign with each other's key.
    """

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id

    def sign(
        self,
        function: str,
        *arguments: int,
        key: str,
        nonce: int,
        key_index: int,
        account_index: int,
    ) -> NativeTransaction:
        """Sign one transaction; `arguments` are the function's own, without skip-nonce.

        Raises:
            NotSigned: the library refuses.
            SignerMissing: there is no library.
        """
        library = _library()
        with _LOCK:
            self._use(library, key, key_index, account_index)
            signed = getattr(library, function)(*arguments, 0, nonce, key_index, account_index)
        error = _take(library, signed.err)
        info, tx_hash = _take(library, signed.txInfo), _take(library, signed.txHash)
        _take(library, signed.messageToSign)
        if error or info is None or tx_hash is None:
            raise NotSigned(f"lighter's signer: {error or 'no transaction'}"[:300])
        return NativeTransaction(tx_type=signed.txType, tx_info=info, tx_hash=tx_hash)

    def auth_token(self, deadline_s: int, *, key: str, key_index: int, account_index: int) -> str:
        """Return a token to read with until `deadline_s`. Raises as `sign`."""
        library = _library()
        with _LOCK:
            self._use(library, key, key_index, account_index)
            made = library.CreateAuthToken(deadline_s, key_index, account_index)
        error, text = _take(library, made.err), _take(library, made.text)
        if error or text is None:
            raise NotSigned(f"lighter's signer: {error or 'no token'}"[:300])
        return text

    def _use(self, library: ctypes.CDLL, key: str, key_index: int, account_index: int) -> None:
        slot, wanted = (account_index, key_index), (self._chain_id, key)
        if _LOADED.get(slot) == wanted:
            return
        _LOADED.pop(slot, None)
        error = _take(
            library,
            library.CreateClient(_NOWHERE, key.encode(), self._chain_id, key_index, account_index),
        )
        if error:
            raise NotSigned(
                f"lighter's signer takes no such key: {error.replace(key, '***')}"[:300]
            )
        _LOADED[slot] = wanted


def generate_key() -> tuple[str, str]:
    """Make an API key; return private and public key in hex. Raises as `NativeSigner.sign`."""
    library = _library()
    made = library.GenerateAPIKey()
    error = _take(library, made.err)
    private, public = _take(library, made.privateKey), _take(library, made.publicKey)
    if error or private is None or public is None:
        raise NotSigned(f"lighter's signer: {error or 'no key'}"[:300])
    return private, public


_LOCK: Final = threading.Lock()
#: What key the library has for each (account, index), and of which chain.
_LOADED: Final[dict[tuple[int, int], tuple[int, str]]] = {}
