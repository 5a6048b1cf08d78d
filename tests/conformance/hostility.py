"""What a hostile exchange would answer: its own honest payloads, twisted. Knows no venue.

Each twist is a function from bytes to bytes. JSON is twisted leaf by leaf, so that it reaches as
deep into a connector as an honest payload does; the rest is not JSON at all, or too much of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

Twist = Callable[[bytes], bytes]
Leaf = Callable[[Any], Any]

#: Sets a terminal's title, colours it, writes backwards, ends a C string.
ESCAPES: Final = "\x1b]0;pwn\x07\x1b[31m\u202e\x00[bold]<b>"
YEAR_9999_MS: Final = 253_402_300_799_999
#: Integers from here on are times, or ids that are as long.
_LONG: Final = 10**11
_NUMERAL: Final = re.compile(r"-?\d+(\.\d+)?")
#: Becomes a number that no float and no JSON library of ours holds.
_RAW: Final = "@@raw@@"


def is_numeral(value: Any) -> bool:
    return isinstance(value, str) and _NUMERAL.fullmatch(value) is not None


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def leaves(change: Leaf) -> Twist:
    """Twist every leaf of JSON; what is no JSON stays."""

    def twist(body: bytes) -> bytes:
        try:
            document = json.loads(body)
        except ValueError:
            return body
        text = json.dumps(_mapped(document, change))
        return text.replace(f'"{_RAW}"', "1e400").encode()

    return twist


def numerals(instead: str) -> Twist:
    """Put a text in the place of every number that is spelled as one."""
    return leaves(lambda value: instead if is_numeral(value) else value)


def numbers(instead: Any) -> Twist:
    return leaves(lambda value: instead if is_number(value) else value)


def long_numbers(instead: int) -> Twist:
    """Change the times, and ids that are as long."""
    return leaves(lambda value: instead if is_number(value) and abs(value) >= _LONG else value)


def texts(change: Callable[[str], str]) -> Twist:
    """Change every text that is no number."""
    return leaves(
        lambda value: change(value) if isinstance(value, str) and not is_numeral(value) else value
    )


def wrong_account(ours: str, theirs: str) -> Twist:
    """Say that everything is of another account."""
    pattern = re.compile(re.escape(ours), re.IGNORECASE)
    return lambda body: pattern.sub(theirs, body.decode("utf-8", "replace")).encode()


def _negated(value: Any) -> Any:
    if is_numeral(value):
        return value.removeprefix("-") if value.startswith("-") else f"-{value}"
    return -value if is_number(value) else value


def _mapped(value: Any, change: Leaf) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return change(value)


def _swapped(value: Any) -> Any:
    if isinstance(value, str):
        return {"value": value}
    return str(value) if is_number(value) else value


#: What may be answered to anything.
TWISTS: Final[dict[str, Twist]] = {
    "numbers of 1e400": numerals("1e400"),
    "numbers of 1e-400": numerals("1e-400"),
    "NaN": numerals("NaN"),
    "infinity": numerals("-Infinity"),
    "raw 1e400": numbers(_RAW),
    "raw NaN": numbers(float("nan")),
    "a thousand quintillions": numerals("1" + "0" * 30),
    "digits without end": numerals("1." + "3" * 5_000),
    "no digits": numerals(""),
    "negative": leaves(_negated),
    "zero": numerals("0"),
    "the year 9999": long_numbers(YEAR_9999_MS),
    "after all years": long_numbers(10**18),
    "more than 64 bits": long_numbers(10**30),
    "before all years": long_numbers(-(10**17)),
    "half a millisecond": numbers(0.5),
    "escapes in texts": texts(lambda text: text + ESCAPES),
    "escapes for texts": texts(lambda text: ESCAPES),
    "names of 100 KB": texts(lambda text: text + "A" * 100_000),
    "surrogates": texts(lambda text: text + "\ud800"),
    "nothing": leaves(lambda value: None),
    "other types": leaves(_swapped),
    "truncated": lambda body: body[: len(body) // 2],
    "twice": lambda body: body + body,
    "empty": lambda body: b"",
    "an empty object": lambda body: b"{}",
    "an empty list": lambda body: b"[]",
    "a text": lambda body: json.dumps(ESCAPES).encode(),
    "null": lambda body: b"null",
    "no UTF-8": lambda body: b"\xff\xfe" + body,
    "a page": lambda body: b"<html><body>" + ESCAPES.encode() + b"</body></html>",
    "lists in lists": lambda body: b"[" * 200_000,
    "objects in objects": lambda body: b'{"data":' * 100_000,
}

#: Of those what is tried on sockets, where each may cost a connection.
OF_FRAMES: Final = {
    name: TWISTS[name]
    for name in (
        "numbers of 1e400",
        "a thousand quintillions",
        "negative",
        "after all years",
        "escapes in texts",
        "nothing",
        "truncated",
        "objects in objects",
    )
}
