"""Base58 in Bitcoin's alphabet, as Solana spells keys, addresses and signatures. Pure."""

from __future__ import annotations

from typing import Final

_ALPHABET: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}


def encode(data: bytes) -> str:
    """Spell bytes; each leading zero byte is a `1`."""
    number = int.from_bytes(data, "big")
    letters = bytearray()
    while number:
        number, value = divmod(number, 58)
        letters.append(_ALPHABET[value])
    zeros = len(data) - len(data.lstrip(b"\0"))
    letters += _ALPHABET[:1] * zeros
    letters.reverse()
    return letters.decode()


def decode(text: str, length: int) -> bytes:
    """Return the `length` bytes that `text` spells.

    Raises:
        ValueError: it spells none, or another number of bytes; the message shows nothing of it.
    """
    # A byte takes 1.37 letters; what is much longer is not even looked at.
    if len(text) > 2 * length or not text.isascii():
        raise ValueError(f"expected base58 of {length} bytes, found {len(text)} characters")
    number = 0
    for letter in text.encode():
        value = _VALUES.get(letter)
        if value is None:
            raise ValueError(f"expected base58 of {length} bytes, found a character that is none")
        number = number * 58 + value
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    data = bytes(len(text) - len(text.lstrip("1"))) + data
    if len(data) != length:
        raise ValueError(f"expected base58 of {length} bytes, found {len(data)}")
    return data
