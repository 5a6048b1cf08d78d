"""Who is who: order ids, client order ids, and the fingerprint of a request.

Pure derivations: the same owner and key always give the same order id, so that losing any table
never gives an intent a second identity. Knows nothing of how a venue spells an id.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from domain.errors import InvalidInput

_NAMESPACE = uuid.UUID("6f1d3c5e-6f0b-5c43-9f0e-0d9a6f8c2b11")
_KEY_MAX_LENGTH = 255
_KEY_PATTERN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_THOUSAND = re.compile(r"k(?=[A-Z])")
_SYMBOL_PATTERN = re.compile(r"[A-Za-z0-9:@/]{1,32}-PERP")
_LABEL_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


AUTO = "auto"
"""Names no venue, account or group: it asks for one to be chosen."""


def check_idempotency_key(key: str) -> str:
    """Return `key` if it can name an intent: 1 to 255 printable ASCII characters, no outer blanks.

    Raises:
        InvalidInput: it cannot.
    """
    if len(key) > _KEY_MAX_LENGTH or not _KEY_PATTERN.fullmatch(key):
        raise InvalidInput(
            "idempotency_key",
            f"expected 1 to {_KEY_MAX_LENGTH} printable ASCII characters without outer blanks, "
            f"found {len(key)} characters",
        )
    return key


def order_id_for(owner: str, key: str) -> str:
    """Return the order id that `owner`'s idempotency `key` names, now and for ever (a UUIDv5)."""
    return str(uuid.uuid5(uuid.uuid5(_NAMESPACE, owner), key))


def request_id_for(order_id: str, key: str) -> str:
    """Return the id of one cancel or modify request of an order (a UUIDv5 of order and key)."""
    return str(uuid.uuid5(uuid.UUID(order_id), key))


def client_order_bytes(order_id: str, revision: int, collision: int = 0) -> bytes:
    """Return the 16 bytes from which a venue spells its client order id.

    Revision 0 is the order id itself, readable back from the exchange; later revisions, and the
    ids picked after a `collision`, are a hash of id, revision and collision.
    """
    raw = uuid.UUID(order_id).bytes
    if revision == 0 and collision == 0:
        return raw
    return hashlib.sha256(raw + f":{revision}:{collision}".encode()).digest()[:16]


def check_order_id(text: str) -> str:
    """Return the canonical spelling of an order id.

    Raises:
        InvalidInput: `text` is not a UUID.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidInput("order_id", f"expected a UUID, found {text[:64]!r}") from None


def thousands_in_digits(name: str) -> str:
    """Return a market's name as we spell it: `kPEPE` is `1000PEPE`.

    Some venues write lots of a thousand with a letter, others in digits; the market is the same.
    """
    return f"1000{name[1:]}" if _THOUSAND.match(name) else name


def thousands_by_letter(name: str) -> str:
    """Return a market's name as venues with the letter spell it: `1000PEPE` is `kPEPE`."""
    return f"k{name[4:]}" if name.startswith("1000") else name


def check_symbol(text: str) -> str:
    """Return `text` as a symbol of ours, such as BTC-PERP; of `kPEPE-PERP` the spelling is ours.

    Raises:
        InvalidInput: it has not the shape of one.
    """
    if not _SYMBOL_PATTERN.fullmatch(text):
        raise InvalidInput("symbol", f"expected a symbol such as 'BTC-PERP', found {text[:64]!r}")
    return thousands_in_digits(text)


def check_label(text: str) -> str:
    """Return `text` if it can label an account: lower case, digits, dot, dash, 1 to 32 long.

    Raises:
        InvalidInput: it cannot.
    """
    if text == AUTO:
        raise InvalidInput("label", f"expected another name: {AUTO!r} asks for one to be chosen")
    if not _LABEL_PATTERN.fullmatch(text):
        raise InvalidInput(
            "label",
            f"expected 1 to 32 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit, "
            f"found {text[:64]!r}",
        )
    return text


def fingerprint(canonical_body: str) -> str:
    """Return the fingerprint of a request body in canonical spelling (SHA-256, hex)."""
    return hashlib.sha256(canonical_body.encode()).hexdigest()
