"""Write docs/asyncapi.json from the message types: `python -m streaming.asyncapi --check|--write`.

The contract of the sockets as AsyncAPI 3.0, made of nothing but the types that are encoded and
decoded. Run by hand and by the checks; imported by nothing that serves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from streaming import market_messages as market
from streaming import protocol
from streaming.market_names import MARKET_CHANNELS
from streaming.paths import ACCOUNT_CHANNELS, EVERYTHING, MARKETS, PATHS, channels_of
from streaming.protocol import CloseCode, Limits

Document = dict[str, Any]
Types = tuple[type[msgspec.Struct], ...]

VERSION: Final = "1"
DOCUMENT: Final = "docs/asyncapi.json"
_REF: Final = "#/components/schemas/{name}"

CLIENT_MESSAGES: Final[Types] = (
    protocol.Auth,
    protocol.Subscribe,
    protocol.Unsubscribe,
    protocol.Ping,
)
#: What the server says on every socket.
COMMON_MESSAGES: Final[Types] = (
    protocol.Hello,
    protocol.Ack,
    protocol.Error,
    protocol.Pong,
    protocol.Heartbeat,
)
#: What it says besides, by channel.
CHANNEL_MESSAGES: Final[dict[str, Types]] = {
    "orders": (protocol.OrdersSnapshot, protocol.OrderUpdate),
    "positions": (protocol.PositionsSnapshot, protocol.PositionsUpdate),
    "account": (protocol.AccountSnapshot, protocol.AccountUpdate),
    "book": (
        market.BookSnapshot,
        market.BookUpdate,
        market.SharedBookSnapshot,
        market.SharedBookUpdate,
    ),
    "top": (
        market.TopSnapshot,
        market.TopUpdate,
        market.SharedTopSnapshot,
        market.SharedTopUpdate,
    ),
    "trades": (market.TradesSnapshot, market.TradesUpdate),
    "ticker": (market.TickerSnapshot, market.TickerUpdate),
    "candles": (market.CandlesSnapshot, market.CandlesUpdate),
}
_ABOUT_ACCOUNTS: Final[Types] = (protocol.Resync, protocol.Status)
_ABOUT_MARKETS: Final[Types] = (market.MarketResync, market.MarketStatus)

_SUMMARIES: Final = {
    MARKETS: "Market data: books, best prices, trades, tickers, candles.",
    EVERYTHING: "Every channel over one socket; messages name their channel.",
    "orders": "Orders of accounts, change by change.",
    "positions": "Open positions of accounts with live profit and loss.",
    "account": "Balances and margin of accounts.",
}
_CLOSE_REASONS: Final = {
    CloseCode.NORMAL: "The client closed.",
    CloseCode.GOING_AWAY: "The server stops; connect again.",
    CloseCode.PROTOCOL_ERROR: "A frame that RFC 6455 does not allow.",
    CloseCode.UNSUPPORTED_DATA: "Only text is taken.",
    CloseCode.INVALID_TEXT: "Text that is not UTF-8.",
    CloseCode.MESSAGE_TOO_BIG: "A message larger than hello said.",
    CloseCode.INTERNAL_ERROR: "A defect of the server.",
    CloseCode.UNAUTHENTICATED: "No valid auth as the first message in time, or a replaced token.",
    CloseCode.FORBIDDEN: "The Origin or Host is not allowed.",
    CloseCode.SLOW_CONSUMER: "The client reads slower than the messages come.",
    CloseCode.TOO_MANY: "Too many messages, or too many connections of one principal.",
}


def messages_of(socket: str) -> Types:
    """Return the types the server may send on a socket."""
    channels = channels_of(socket)
    found: list[type[msgspec.Struct]] = list(COMMON_MESSAGES)
    if any(channel in ACCOUNT_CHANNELS for channel in channels):
        found.extend(_ABOUT_ACCOUNTS)
    if any(channel in MARKET_CHANNELS for channel in channels):
        found.extend(_ABOUT_MARKETS)
    for channel in channels:
        found.extend(CHANNEL_MESSAGES[channel])
    return tuple(found)


def server_messages() -> Types:
    """Return every type the server may send on any socket."""
    return messages_of(EVERYTHING)


def schemas() -> dict[str, Document]:
    """Return the JSON schemas of all messages and their parts, by name."""
    types = (*CLIENT_MESSAGES, *server_messages())
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    for schema in components.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return dict(components)


def document() -> Document:
    """Return the whole AsyncAPI document."""
    everything = (*CLIENT_MESSAGES, *server_messages())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "perp-dex sockets",
            "version": VERSION,
            "description": "What is said over the WebSockets of the streaming process. The first "
            "message of a client is `auth` with the token of the REST API. See docs/streaming.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "embedded": {
                "host": "127.0.0.1:8701",
                "protocol": "ws",
                "description": "The embedded stack; GET /api/v1/endpoints says where they are.",
            }
        },
        "channels": {name: _channel(path, name) for path, name in PATHS.items()},
        "operations": dict(_operations(PATHS.values())),
        "components": {
            "messages": {each.__name__: _message(each) for each in everything},
            "schemas": schemas(),
        },
    }


def _channel(path: str, name: str) -> Document:
    types = (*CLIENT_MESSAGES, *messages_of(name))
    limits = Limits()
    return {
        "address": path,
        "summary": _SUMMARIES[name],
        "messages": {
            each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in types
        },
        "x-channels": list(channels_of(name)),
        "x-close-codes": {str(int(code)): text for code, text in _CLOSE_REASONS.items()},
        "x-limits": {
            "auth_timeout_ms": int(limits.auth_s * 1000),
            "message_bytes_max": limits.message_bytes_max,
            "messages_per_s": limits.messages_per_s,
            "subscriptions_max": limits.subscriptions_max,
        },
    }


def _operations(names: Iterable[str]) -> Iterable[tuple[str, Document]]:
    for name in names:
        for action, types in (("receive", CLIENT_MESSAGES), ("send", messages_of(name))):
            listed = [{"$ref": f"#/channels/{name}/messages/{each.__name__}"} for each in types]
            channel = {"$ref": f"#/channels/{name}"}
            yield f"{action}-{name}", {"action": action, "channel": channel, "messages": listed}


def _message(of: type[msgspec.Struct]) -> Document:
    name = of.__name__
    text = " ".join((of.__doc__ or "").split())
    return {
        "name": name,
        "summary": text.partition(". ")[0].rstrip("."),
        "payload": payload_of(of),
    }


def payload_of(of: type[msgspec.Struct]) -> Document:
    """Return the schema of a message: its type's, and the channel that it belongs to."""
    reference = {"$ref": _REF.format(name=of.__name__)}
    for channel, types in CHANNEL_MESSAGES.items():
        if of in types:
            return {"allOf": [reference, {"properties": {"channel": {"const": channel}}}]}
    return reference


def rendered() -> str:
    """Return the document as it is kept."""
    text = msgspec.json.format(msgspec.json.encode(document()), indent=2).decode()
    return text + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document, or check that it is current; 1 when it is not."""
    parser = argparse.ArgumentParser(prog="python -m streaming.asyncapi")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the document")
    action.add_argument("--check", action="store_true", help="fail when it is not current")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    given = parser.parse_args(arguments)
    path: Path = given.root / DOCUMENT
    text = rendered()
    if given.write:
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
        return 0
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        sys.stderr.write(
            f"{path} is not what the messages say; run `python -m streaming.asyncapi --write`\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
