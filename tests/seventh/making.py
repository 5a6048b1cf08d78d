"""Makes a venue of its own: a folder and a rig, with the few capabilities that a small one has.

The folder is a registered venue's under another name, with no word of that venue left in it, and
with what `few.py` takes away: stops and targets, post-only, isolated margin, past trades and rates.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

NAME: Final = "seventh"
MODEL: Final = "pacifica"
ROOT: Final = Path(__file__).parents[2]

#: What the small venue declares instead: in `proofs.py`.
_DECLARED: Final = (
    (
        "order_types=frozenset(OrderType)",
        "order_types=frozenset({OrderType.LIMIT, OrderType.MARKET})",
    ),
    ("post_only=True", "post_only=False"),
    ("batch_limit=10", "batch_limit=1"),
    ("margin_modes=frozenset(MarginMode)", "margin_modes=frozenset({MarginMode.CROSS})"),
    (
        "schedule_cancel=False,",
        "schedule_cancel=False,\n    market_queries=frozenset({MarketQuery.CANDLES}),",
    ),
    ("    MarketChannelKind,\n", "    MarketChannelKind,\n    MarketQuery,\n"),
)  # fmt: skip
_SPEC: Final = (
    (
        f"from venues.{NAME}.connector import SeventhConnector",
        f"from venues.{NAME}.few import FewConnector",
    ),
    ("return SeventhConnector(", "return FewConnector("),
)  # fmt: skip


def make(folder: Path) -> None:
    """Write the venue's folder into `folder`/venues and its rig into `folder`/rigs.

    Raises:
        AssertionError: the model has changed, so that it cannot be made smaller as described.
    """
    venue, rig = folder / "venues" / NAME, folder / "rigs" / NAME
    _copy(ROOT / "venues" / MODEL, venue)
    rig.mkdir(parents=True)
    for name in ("__init__.py", "rig.py"):
        source = ROOT / "tests" / "venues" / MODEL / name
        (rig / name).write_text(_renamed(source.read_text(encoding="utf-8")), encoding="utf-8")
    _edit(venue / "proofs.py", _DECLARED)
    _edit(venue / "spec.py", _SPEC)
    shutil.copyfile(Path(__file__).with_name("few.py"), venue / "few.py")
    (folder / "sitecustomize.py").write_text("import tests.seventh.joining\n", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.suffix in (".py", ".md"):
            text = _renamed(path.read_text(encoding="utf-8"))
            (target / path.name).write_text(text, encoding="utf-8")


def _renamed(text: str) -> str:
    for was, becomes in (
        (MODEL, NAME),
        (MODEL.title(), NAME.title()),
        (MODEL.upper(), NAME.upper()),
    ):
        text = text.replace(was, becomes)
    return text


def _edit(path: Path, changes: tuple[tuple[str, str], ...]) -> None:
    text = path.read_text(encoding="utf-8")
    for was, becomes in changes:
        assert text.count(was) == 1, f"expected {was!r} once in {path.name}"
        text = text.replace(was, becomes)
    path.write_text(text, encoding="utf-8")
