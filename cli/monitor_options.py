"""What commands that follow a stream have in common: their options, and where the stream is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from cli.connection import api_address, connected

OneAccount = Annotated[
    str | None, typer.Option("--account", help="Label or id; else all accounts.")
]
For = Annotated[
    float | None,
    typer.Option("--for", min=0.0, metavar="SECONDS", help="End after so long, with code 0."),
]
Count = Annotated[
    int | None, typer.Option("--count", min=1, help="End after so many messages, with code 0.")
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print one JSON document a message, a line each.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Where the sockets are, who asks, and whose accounts are whose."""

    url: str
    token: str
    account_id: str | None
    labels: Mapping[str, str]


async def find_stream(account: str | None) -> Stream:
    """Ask the API where the sockets are, and for the accounts' labels.

    Raises:
        UnknownObject: there is no such account.
        Unreachable: the API does not answer, or it knows of no sockets.
    """
    from perp_dex_client import Unreachable
    from perp_dex_client.token_file import read_token

    async with connected() as client:
        endpoints = await client.endpoints()
        labels = {each.account_id: each.label for each in await client.accounts()}
        account_id = None if account is None else (await client.account(account)).account_id
    if endpoints.streaming is None:
        raise Unreachable(
            "expected the API to know where the sockets are, found that it does not", outcome=None
        )
    return Stream(
        url=endpoints.streaming,
        token=read_token(api_address().token_file),
        account_id=account_id,
        labels=labels,
    )
