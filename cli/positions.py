"""`perp-dex position`: looking at positions and closing them."""

from __future__ import annotations

import typer

from cli import position_close

app = typer.Typer(no_args_is_help=True, help="Look at positions and close them.")
position_close.register(app)
