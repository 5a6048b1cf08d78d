"""`perp-dex help`: what no single command's help can say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from cli.exit_codes import ExitCode, explained
from cli.usage import one_of

_ENVIRONMENT = """\
PERP_DEX_HOME            where all state is kept (default ~/.perp-dex)
PERP_DEX_API_URL         another API than that of the running stack
PERP_DEX_API_TOKEN_FILE  the file with its token
NO_COLOR                 set: no colours

Secrets are never taken from arguments or from the environment."""

_KEYS = """\
Every order has a name, its key. `--key` sets it, else one is made. The same key never makes a
second order: after a lost answer, repeat the command with the same --key, or look the order up by
the order id that was printed before anything was sent. Another key is another order."""

_TOPICS: dict[str, Callable[[], str]] = {
    "exit-codes": explained,
    "environment": lambda: _ENVIRONMENT,
    "keys": lambda: _KEYS,
}


def show_topic(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="exit-codes, environment, keys.")],
) -> int:
    """Explain a topic: perp-dex help exit-codes"""
    print(_TOPICS[one_of("TOPIC", topic, tuple(_TOPICS))]())
    return ExitCode.DONE
