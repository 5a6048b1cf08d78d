"""`perp-dex order`: what only an operator decides about an order."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json, Key, OrderId
from cli.order_output import print_order
from cli.usage import one_of

app = typer.Typer(no_args_is_help=True, help="Decide what cannot be found out.")


@app.command("resolve")
def resolve(
    order_id: OrderId,
    verdict: Annotated[
        str, typer.Option("--as", help="absent: it never reached the venue; accepted: it did.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="What you saw; kept for ever.")],
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Give your word on an order whose outcome is unknown.

    It ranks below anything the venue says later, which reopens the question.
    """
    word = cast(Literal["absent", "accepted"], one_of("--as", verdict, ("absent", "accepted")))
    order = ask(lambda client: client.resolve(order_id, word, reason, key=key))
    print_order(order, as_json=as_json)
    return ExitCode.DONE


@app.callback()
def group() -> None:
    """Decide what cannot be found out."""
