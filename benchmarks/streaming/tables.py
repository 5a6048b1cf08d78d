"""The figures of sockets and feeds as tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.figures import table
from benchmarks.streaming.fan_out import Delivered, sustained
from benchmarks.streaming.ingest import Taken
from benchmarks.streaming.scenarios import Many, SlowClient, Streamed

_HEADER = ["", "clients", "deliveries/s", "arrived", "p50 ms", "p99 ms", "max ms"]
_HEADER += ["server, of a core", "crowd, of a core"]


def streamed_tables(found: Streamed) -> str:
    """Return all tables of the sockets."""
    return "\n\n".join(
        (
            "From the data received to the client, 1,000 clients (target: 100,000 deliveries/s, "
            "p99 under 20 ms):\n\n"
            + table(
                _HEADER,
                [_row("floor: a bare picows server", found.bare), _row("ours", found.ours)],
            ),
            _highest(found.bare_highest, found.ours_highest),
            _many(found.many),
            _few(found.few),
            _growth(found.growth),
            _slow(found.slow),
        )
    )


def _row(name: str, run: Delivered) -> list[str]:
    ages = [f"{run.from_received.get(key, float('nan')):.1f}" for key in ("p50", "p99", "max")]
    return [
        name,
        f"{run.clients:,}",
        f"{run.per_s:,.0f}",
        f"{run.share:.1%}",
        *ages,
        f"{run.server_cpu:.0%}",
        f"{run.crowd_cpu:.0%}",
    ]


def _highest(bare: Sequence[Delivered], ours: Sequence[Delivered]) -> str:
    rows = []
    for name, runs in (("floor", bare), ("ours", ours)):
        rows += [[*_row(name, run)[:7], "yes" if run.is_good else "no"] for run in runs]
    best_bare, best_ours = sustained(bare), sustained(ours)
    ratio = "no rate was sustained"
    if best_bare is not None and best_ours is not None:
        ratio = (
            f"Sustained: the floor {best_bare.per_s:,.0f}/s, ours {best_ours.per_s:,.0f}/s, "
            f"{best_ours.per_s / best_bare.per_s:.2f} of it (target: at least 0.7)."
        )
    return (
        "The highest rate at which all arrives and p99 stays under 20 ms, raised until it does "
        f"not. {ratio}\n\n" + table([*_HEADER[:7], "sustained"], rows)
    )


def _many(many: Many) -> str:
    rows = [
        _row(name, run)
        for name, runs in (("floor", many.bare), ("ours", many.ours))
        for run in runs
    ]
    return (
        f"10,000 connections, ten markets, each message to 1,000 of them; connected and "
        f"subscribed within {many.connect_s:.1f} s, {many.bytes_per_connection / 1024:.1f} KiB "
        "of our process for each:\n\n" + table(_HEADER, rows)
    )


def _few(runs: Sequence[Delivered]) -> str:
    rows = [
        [
            f"{run.clients:,}",
            f"{run.from_sent['p50']:.1f}",
            f"{run.from_sent['p99']:.1f}",
            f"{run.from_received['p50']:.1f}",
            f"{run.from_received['p99']:.1f}",
        ]
        for run in runs
    ]
    return (
        "From the venue's frame sent to the client's frame received, 100 frames a second:\n\n"
        + table(["clients", "p50 ms", "p99 ms", "of which ours p50", "p99"], rows)
    )


def _growth(runs: Sequence[Delivered]) -> str:
    rows = []
    for run in runs:
        wall_s = run.messages / (run.asked_per_s / run.clients)
        per_message_ms = run.server_cpu * wall_s / run.messages * 1000
        per_delivery_us = per_message_ms * 1000 / run.clients
        rows.append(
            [
                f"{run.clients:,}",
                f"{run.server_cpu:.1%}",
                f"{per_message_ms:.2f}",
                f"{per_delivery_us:.1f}",
                f"{run.from_received['p99']:.1f}",
            ]
        )
    header = ["clients", "of a core", "CPU ms per message", "CPU µs per delivery", "p99 ms"]
    return "Growth of cost, one market, ten messages a second to all:\n\n" + table(header, rows)


def _slow(slow: SlowClient) -> str:
    rows = [
        [name, *(f"{one:.2f}" for one in runs), f"{statistics.median(runs):.2f}"]
        for name, runs in (("without", slow.without), ("beside a slow one", slow.beside))
    ]
    header = ["p99 ms, run", *(str(n + 1) for n in range(len(slow.without))), "median"]
    return (
        f"A client that reads nothing among 200 that do, alternating runs; the medians differ by "
        f"{slow.ratio:.2f} ×, the runs of one kind by up to {slow.spread:.2f} ×; it was "
        f"{slow.became}:\n\n" + table(header, rows)
    )


def ingest_table(taken: Sequence[Taken]) -> str:
    """Return the table of what one process takes in."""
    rows = [
        [
            one.venue,
            f"{one.bare_frames_per_s:,.0f}",
            f"{one.frames_per_s:,.0f}",
            f"{one.frames_per_s / one.bare_frames_per_s:.3f}",
            f"{one.updates / one.frames:.1f}",
            f"{one.updates_per_s:,.0f}",
        ]
        for one in taken
    ]
    header = ["", "floor: JSON decoded, frames/s", "ours, frames/s", "ratio"]
    header += ["updates in a frame", "updates/s"]
    return (
        f"Ingest in one process, {taken[0].frames:,} frames of each venue in the shapes that it "
        "sends (books, best prices, trades, tickers); an update is a changed price level, a trade "
        "or a ticker, its decimals exact, the book with it applied, all on the board (target: "
        "100,000 updates/s of every venue):\n\n" + table(header, rows)
    )
