"""Take secrets and terminal control sequences out of whatever is about to be logged.

The last line of defence, not the first: code should never log a secret, and when it does anyway
this is what stands between it and the file. Works on plain values; knows nothing of loggers.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Final
from uuid import UUID

REDACTED: Final = "[redacted]"

#: Longest string that is kept, in characters, after redaction; the rest is counted, not shown.
TEXT_LENGTH_MAX: Final = 8_192
_DEPTH_MAX: Final = 8
_ITEMS_MAX: Final = 256

#: Fields that hold a public 32-byte hash. Only a value that *is* such a hash is shown there.
HASH_FIELDS: Final = frozenset(
    {
        "action_hash",
        "audit_hash",
        "block_hash",
        "body_fingerprint",
        "content_hash",
        "digest",
        "fingerprint",
        "hash",
        "order_hash",
        "payload_hash",
        "previous_hash",
        "request_fingerprint",
        "transaction_hash",
        "tx_hash",
    }
)

# Any one of these words in a field's name hides the whole value.
_SENSITIVE_WORDS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "jwt",
        "mnemonic",
        "passphrase",
        "passwd",
        "password",
        "pepper",
        "secret",
        "secrets",
        "token",
    }
)
_SENSITIVE_PAIRS: Final = (
    "apikey",
    "codeckey",
    "privatekey",
    "seedphrase",
    "recoveryphrase",
    "secretkey",
    "signingkey",
    "encryptionkey",
)
# Names that carry a sensitive word and hold nothing secret.
_HARMLESS_NAMES: Final = frozenset(
    {"credential_id", "credential_kind", "next_page_token", "secret_name", "token_id", "token_name"}
)

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_HASH: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")

_NAMES_IN_TEXT: Final = (
    r"[\w-]*(?:private[_-]?key|api[_-]?key|signing[_-]?key|secret|token|passw(?:or)?d|passphrase"
    r"|mnemonic|seed[_-]?phrase|pepper)"
)

# Ordered: whole blocks first, so that a later pattern never cuts one in half.
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)"
            r"(\\?[\"']?\s*[:=,]\s*)[^\r\n}\])]+"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"whsec_[\w+/=-]+"), REDACTED),
    (re.compile(r"(\b[a-zA-Z][\w+.-]{1,30}://[^\s:/@]{0,128}:)[^\s/@]{1,512}@"), rf"\1{REDACTED}@"),
    (
        re.compile(
            rf"(?i)(?<![\w-])({_NAMES_IN_TEXT})(\\?[\"']?\s*[:=]\s*)"
            r"(?!\[redacted\])"
            # The value: in escaped quotes, in quotes of either kind, or up to a separator.
            r"(\\\"(?:(?!\\\").)*(?:\\\")?|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
            r"|[^\s,;&\"'}\])]+)"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(?<![0-9a-fA-F])(?:0[xX])?[0-9a-fA-F]{64,}(?![0-9a-fA-F])"), REDACTED),
    # 64 bytes in base58: the form of a Solana-style key pair.
    (
        re.compile(r"(?<![1-9A-HJ-NP-Za-km-z])[1-9A-HJ-NP-Za-km-z]{86,88}(?![1-9A-HJ-NP-Za-km-z])"),
        REDACTED,
    ),
)

# Ids, levels, symbols, numbers: one short word that no pattern above can match, most of a log line.
_PLAIN: Final = re.compile(r"[\w.+-]{0,63}")

# A recovery phrase is 12 to 24 words of 3 to 8 letters from a list without function words; a run
# that contains one of these is prose.
_FUNCTION_WORDS: Final = (
    "the|and|for|not|was|were|are|has|had|with|from|but|its|them|than|their|been|being|would"
    "|could|did|does|our|your|his|her|who|which|why|how|may|after|while|each|most|some|yet"
    "|per|via|out|too|new|see|got|set|let|here|said|these|those|against|should|shall|made"
    "|makes|given|gives|read|reads|using|uses|within|without"
)
_SEED_WORD: Final = rf"(?!(?:{_FUNCTION_WORDS})\b)[a-z]{{3,8}}"
_SEED_PHRASE: Final = re.compile(
    rf"(?i)(?<![\w-]){_SEED_WORD}(?:[\s,;]+{_SEED_WORD}(?![\w-])){{11,}}"
)

# C0 and C1 controls, DEL, line and paragraph separators, bidirectional overrides, surrogates.
_CONTROL_CLASS: Final = r"\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS: Final = re.compile(rf"[\x00-\x1f{_CONTROL_CLASS}]")
_CONTROLS_BUT_LINES: Final = re.compile(rf"[\x00-\x08\x0b-\x1f{_CONTROL_CLASS}]")


@lru_cache(maxsize=4096)
def is_sensitive_name(name: str) -> bool:
    """Say whether a field of this name is expected to hold a secret."""
    if name.lower() in _HARMLESS_NAMES:
        return False
    words = [word.lower() for word in _WORD.findall(name)]
    if _SENSITIVE_WORDS.intersection(words):
        return True
    joined = "".join(words)
    return any(pair in joined for pair in _SENSITIVE_PAIRS)


def redact_text(text: str) -> str:
    """Replace everything in `text` that looks like a secret by `[redacted]`."""
    if _PLAIN.fullmatch(text) and "eyJ" not in text and "whsec_" not in text:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _SEED_PHRASE.sub(REDACTED, text)


def escape_controls(text: str, *, keep_lines: bool = False) -> str:
    """Write control characters as visible escapes, so that no string steers a terminal.

    `keep_lines` leaves line feeds and tabs, for tracebacks.
    """
    pattern = _CONTROLS_BUT_LINES if keep_lines else _CONTROLS
    return pattern.sub(_escape, text)


def redact_field(name: str, value: object) -> object:
    """Give what may be logged under `name`: plain JSON types, without secrets or controls."""
    return _redact(name, value, depth=0)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _redact(name: str, value: object, *, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if is_sensitive_name(name):
        return REDACTED
    if isinstance(value, Enum):
        return _redact(name, value.value, depth=depth)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return _redact_string(name, value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (Decimal, UUID, PurePath, timedelta)):
        return _redact_string(name, str(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Mapping, Sequence, AbstractSet)):
        return _redact_collection(name, value, depth=depth)
    return _redact_string(name, repr(value))


def _redact_collection(
    name: str,
    value: Mapping[object, object] | Sequence[object] | AbstractSet[object],
    *,
    depth: int,
) -> object:
    if depth >= _DEPTH_MAX:
        return f"<{type(value).__name__} nested deeper than {_DEPTH_MAX}>"
    left_out = len(value) - _ITEMS_MAX
    if isinstance(value, Mapping):
        shown: dict[str, object] = {}
        for key, item in list(value.items())[:_ITEMS_MAX]:
            safe_key = escape_controls(redact_text(str(key)))
            shown[safe_key] = _redact(str(key), item, depth=depth + 1)
        if left_out > 0:
            shown["…"] = f"{left_out} more"
        return shown
    items = [_redact(name, item, depth=depth + 1) for item in list(value)[:_ITEMS_MAX]]
    if left_out > 0:
        items.append(f"… {left_out} more")
    return items


def _redact_string(name: str, text: str) -> str:
    if name in HASH_FIELDS and _HASH.fullmatch(text):
        return text
    text = escape_controls(redact_text(text), keep_lines=name in ("exception", "stack"))
    if len(text) > TEXT_LENGTH_MAX:
        return f"{text[:TEXT_LENGTH_MAX]}… ({len(text) - TEXT_LENGTH_MAX} more characters)"
    return text
