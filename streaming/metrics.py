"""What this process tells Prometheus: counters that its parts keep anyway, read when scraped.

Nothing here is called per message. Labels are venues, networks, channels and codes: never accounts,
symbols or anything else that grows. docs/metrics.md explains each name, and a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bus.connection import Bus
from streaming.app import StreamingApp
from streaming.feed_meters import ACCOUNTS, FeedMeters
from streaming.hub import Hub
from streaming.market_feeds import MarketFeeds, Place

_FEED = ("venue", "network", "source")


class StreamingMetrics(Collector):
    """The metrics of one streaming app."""

    def __init__(self, app: StreamingApp) -> None:
        self._app = app

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        app = self._app
        yield from _feeds(app.meters)
        yield from _feed_channels(app.meters)
        yield _silences(app.meters, app.feeds)
        yield _fanout(app.meters)
        yield from _clients(app.server.hub)
        yield from _queues(app.server.hub)
        yield from _booking(app)
        yield from _signals(app)
        yield _past(app)
        yield _valkey(app.bus)
        yield _roles(app)
        yield _counter(
            "perp_dex_part_restarts", "Parts that failed and were started again.",
            app.restarts, "part",
        )  # fmt: skip


def _feeds(meters: FeedMeters) -> Iterator[Metric]:
    live = GaugeMetricFamily(
        "perp_dex_feed_live", "Accounts that are live; of a feed of markets 0 or 1.", labels=_FEED
    )
    losses = CounterMetricFamily(
        "perp_dex_feed_losses", "Times a feed (of one account) was live no more.", labels=_FEED
    )
    restarts = CounterMetricFamily(
        "perp_dex_feed_restarts", "Times a feed of accounts was made anew.", labels=_FEED
    )
    for (venue, network, source), meter in meters.meters.items():
        labels = (venue, network.value, source)
        live.add_metric(labels, meter.live)
        losses.add_metric(labels, meter.losses)
        if source == ACCOUNTS:
            restarts.add_metric(labels, meter.restarts)
    yield from (live, losses, restarts)


def _feed_channels(meters: FeedMeters) -> Iterator[Metric]:
    names = (*_FEED, "channel")
    messages = CounterMetricFamily(
        "perp_dex_feed_messages", "Messages heard of a venue.", labels=names
    )
    lag = HistogramMetricFamily(
        "perp_dex_feed_lag_seconds",
        "From the venue's time of an event to our receiving it.",
        labels=names,
    )
    for (venue, network, source), meter in meters.meters.items():
        for channel, measured in meter.channels.items():
            labels = (venue, network.value, source, channel)
            messages.add_metric(labels, measured.messages)
            lag.add_metric(labels, measured.lag.up_to(), measured.lag.total)
    yield from (messages, lag)


def _silences(meters: FeedMeters, feeds: MarketFeeds) -> Metric:
    family = GaugeMetricFamily(
        "perp_dex_feed_silence_seconds",
        "Since the last message of a kind, whichever way it came.",
        labels=("venue", "network", "about", "channel"),
    )
    for (venue, network, accounts, channel), seconds in meters.silences().items():
        # What nobody wants any more is silent for a good reason.
        wanted = feeds.wanted(Place(venue, network))
        if accounts or any(one.kind == channel for one in wanted):
            about = "accounts" if accounts else "markets"
            family.add_metric((venue, network.value, about, channel), seconds)
    return family


def _fanout(meters: FeedMeters) -> Metric:
    family = HistogramMetricFamily(
        "perp_dex_stream_fanout_seconds",
        "From having something to having handed it to all who follow it.",
        labels=("channel",),
    )
    for channel, took in meters.handed_on.items():
        family.add_metric((channel,), took.up_to(), took.total)
    return family


def _clients(hub: Hub) -> Iterator[Metric]:
    counts = hub.counts
    yield _gauge("perp_dex_stream_clients", "Connected clients.", counts.sessions, "channel")
    yield _gauge("perp_dex_stream_subscriptions", "Subscriptions.", hub.subscriptions(), "channel")
    yield _counter(
        "perp_dex_stream_deliveries", "Changes handed on, once for each follower.",
        counts.delivered, "channel",
    )  # fmt: skip
    yield _counter(
        "perp_dex_stream_closed", "Connections closed by us.",
        {str(int(code)): number for code, number in counts.closed.items()}, "code",
    )  # fmt: skip


def _queues(hub: Hub) -> Iterator[Metric]:
    counts, behind = hub.counts, tuple(hub.behind)
    messages = [outbox.waiting for outbox in behind]
    sizes = [outbox.waiting_bytes for outbox in behind]
    for name, text, value in (
        ("behind_clients", "Clients whose connection takes nothing now.", len(behind)),
        ("queued_messages", "Messages that wait for clients.", sum(messages)),
        ("queued_messages_max", "Messages that wait for one client, at most.", _most(messages)),
        ("queued_bytes", "Bytes that wait for clients.", sum(sizes)),
        ("queued_bytes_max", "Bytes that wait for one client, at most.", _most(sizes)),
    ):
        yield GaugeMetricFamily(f"perp_dex_stream_{name}", text, value=value)
    yield CounterMetricFamily(
        "perp_dex_stream_conflations",
        "Times a slow client's messages of a topic were left out.",
        value=counts.left_out,
    )
    yield CounterMetricFamily(
        "perp_dex_stream_resyncs", "Snapshots sent after that.", value=counts.resyncs
    )


def _booking(app: StreamingApp) -> Iterator[Metric]:
    for name, text, count in (
        ("booked", "Reports and fills that changed an order.", app.intake.booked),
        ("unmatched", "Reports that matched no order in time.", app.intake.unmatched),
        ("account_reads", "Accounts read whole from their venue.", app.catch_up.reads),
        ("account_read_failures", "Readings of accounts that failed.", app.catch_up.failures),
    ):
        yield CounterMetricFamily(f"perp_dex_{name}", text, value=count)
    yield GaugeMetricFamily(
        "perp_dex_reports_held", "Reports that wait for their order.", value=app.intake.held
    )


def _signals(app: StreamingApp) -> Iterator[Metric]:
    bridge, conditions = app.bridge, app.conditions
    signals = {"order": bridge.signals, "guard": conditions.signals}
    yield _counter("perp_dex_signals", "Signals that workflows accepted.", signals, "to")
    waiting = {"order": bridge.waiting, "guard": conditions.waiting}
    yield _gauge("perp_dex_signals_waiting", "What workflows are still to hear.", waiting, "to")
    yield CounterMetricFamily(
        "perp_dex_deliveries", "Reports marked as delivered.", value=bridge.delivered
    )
    yield GaugeMetricFamily(
        "perp_dex_conditions_watched", "Conditional closes watched.", value=conditions.watched
    )


def _past(app: StreamingApp) -> Metric:
    family = CounterMetricFamily(
        "perp_dex_market_past_answers",
        "Questions about a market's past that were answered.",
        labels=("venue", "network", "about", "source"),
    )
    for (venue, network, about, source), count in app.past.answers.items():
        family.add_metric((venue, network.value, about, source), count)
    return family


def _valkey(bus: Bus) -> Metric:
    return GaugeMetricFamily(
        "perp_dex_valkey_up", "Whether Valkey answered last.", value=int(bus.is_up)
    )


def _roles(app: StreamingApp) -> Metric:
    family = GaugeMetricFamily(
        "perp_dex_group_role",
        "What this process is to a thing that one of a group does.",
        labels=("duty", "venue", "network", "role"),
    )
    for duty, role in (("bridge", app.bridging.role), ("conditions", app.watching.role)):
        family.add_metric((duty, "", "", role.value), 1)
    for duty, roles in (("accounts", app.share.roles()), ("market", app.sources.roles())):
        for (venue, network), role in roles.items():
            family.add_metric((duty, venue, network.value, role.value), 1)
    return family


def _counter(name: str, text: str, counts: Mapping[str, int], label: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, value in counts.items():
        family.add_metric((key,), value)
    return family


def _gauge(name: str, text: str, values: Mapping[str, int], label: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _most(values: Iterable[int]) -> int:
    return max(values, default=0)
