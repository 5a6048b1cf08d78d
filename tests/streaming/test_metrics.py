"""What the streaming process tells Prometheus, over a real venue, real storage and sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from domain.accounts import Network
from process.metrics import registry_of
from storage.opening import Storage
from streaming.feed_meters import ACCOUNTS, FeedMeter, FeedMeters
from streaming.hub import Hub
from streaming.market_feeds import Place
from streaming.metrics import StreamingMetrics
from streaming.protocol import CloseCode, Limits
from tests.bus.valkey import running_valkey
from tests.streaming.building import T0
from tests.streaming.floor import Floor, open_floor
from tests.streaming.sockets import subscribed
from tests.streaming.stage import Stage
from tests.streaming.test_app import working
from tests.streaming.test_bridge import Workflows
from tests.streaming.test_hub import LIMITS, TOPIC, joined, publish
from tests.streaming.test_ingest import filled_is, until
from venues.connector import MarketChannel, MarketChannelKind

KINDS = (MarketChannelKind.BOOK, MarketChannelKind.TOP, MarketChannelKind.TICKER)
FEED = {"venue": "hyperliquid", "network": "paper", "source": "accounts"}


@pytest.fixture
async def floor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with open_floor(stage) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.sim.url)
        yield made


async def test_a_fill_is_seen_from_the_venue_to_the_socket(floor: Floor, storage: Storage) -> None:
    await floor.open_account()
    workflows = Workflows()
    with running_valkey() as valkey:
        async with working(storage, workflows, valkey) as (app, served):
            registry = registry_of([StreamingMetrics(app)])

            def value(name: str, **labels: str) -> float:
                return registry.get_sample_value(f"perp_dex_{name}", labels) or 0.0

            await until(lambda: value("feed_live", **FEED) == 1)
            async with subscribed(served):
                await floor.send(1)
                await floor.fill(1)
                await until(filled_is(floor, 1, "1"))
                await until(lambda: value("signals_total", to="order") > 0)
                await until(lambda: value("stream_deliveries_total", channel="orders") > 0)
                assert value("stream_clients", channel="orders") == 1
                assert value("stream_subscriptions", channel="orders") == 1
            for channel in ("orders", "fills", "account"):
                heard = {**FEED, "channel": channel}
                assert value("feed_messages_total", **heard) > 0, channel
            said = {"venue": "hyperliquid", "network": "paper", "about": "accounts"}
            assert 0 < value("feed_silence_seconds", **said, channel="orders") < 60
            assert value("stream_fanout_seconds_count", channel="orders") > 0
            assert value("feed_lag_seconds_count", **FEED, channel="orders") > 0
            assert value("booked_total") > 0
            assert value("account_reads_total") > 0
            await until(lambda: value("deliveries_total") > 0)
            assert value("valkey_up") == 1
            await until(lambda: value("stream_clients", channel="orders") == 0)
            await floor.control("/maintenance", {"on": True})
            await until(lambda: value("feed_losses_total", **FEED) == 1)
            assert value("feed_live", **FEED) == 0


def test_a_slow_client_shows_while_it_is_slow() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    session.outbox.pause(1.0)
    hub.send(session, b"12345")
    [behind] = hub.behind
    assert (behind.waiting, behind.waiting_bytes) == (1, 5)
    hub.send(session, b"6")
    client.takes = 1
    session.outbox.resume(2.0)
    assert hub.behind == {session.outbox}, "it took one and was full again"
    client.takes = None
    session.outbox.resume(3.0)
    assert not hub.behind
    session.outbox.pause(3.0)
    hub.close(session, CloseCode.SLOW_CONSUMER, "too slow")
    hub.forget(session)
    assert not hub.behind
    assert hub.counts.closed == {CloseCode.SLOW_CONSUMER: 1}
    assert hub.counts.sessions["orders"] == 0


def test_what_is_left_out_is_counted() -> None:
    hub = Hub(Limits(queued_messages_max=2, resyncs_per_minute_max=1))
    session, _ = joined(hub)
    hub.attach(session, TOPIC, 0, [])
    publish(hub, 1)
    session.outbox.pause(1.0)
    for sequence in (2, 3, 4, 5):
        publish(hub, sequence)
    assert hub.counts.left_out == 1
    assert hub.counts.delivered == {"orders": 4}
    assert hub.begin_resync(session, 1.0)
    assert not hub.begin_resync(session, 1.0)
    assert hub.counts.resyncs == 1


def test_losses_are_of_what_was_live() -> None:
    meter = FeedMeter(lambda: 0.0)
    meter.went("a", live=False)
    assert meter.losses == 0, "it never was"
    meter.went("a", live=True)
    meter.went("b", live=True)
    meter.keep({"b"})
    assert (meter.live, meter.losses) == (1, 0)
    meter.went("b", live=False)
    meter.went("b", live=False)
    assert (meter.live, meter.losses) == (0, 1)
    meter.went(None, live=True)
    meter.went(None, live=False)
    assert meter.losses == 2


def test_lateness_is_measured_where_the_venue_says_when() -> None:
    now = [10.0]
    meters = FeedMeters(lambda: now[0])
    meter = meters.of("somewhere", Network.MAINNET, "stream")
    assert meters.of("somewhere", Network.MAINNET, "stream") is meter
    meter.heard("ticker")
    meter.heard("book", T0, T0 + timedelta(milliseconds=30))
    now[0] = 12.5
    meters.of("somewhere", Network.MAINNET, "poll").heard("ticker")
    now[0] = 13.0
    assert meters.silences() == {
        ("somewhere", Network.MAINNET, False, "ticker"): 0.5,
        ("somewhere", Network.MAINNET, False, "book"): 3.0,
    }
    accounts = meters.of("somewhere", Network.MAINNET, ACCOUNTS)
    accounts.heard("orders")
    of_accounts = ("somewhere", Network.MAINNET, True, "orders")
    assert of_accounts not in meters.silences(), "another process follows them, perhaps"
    accounts.went("a", live=True)
    assert meters.silences()[of_accounts] == 0
    accounts.keep(())
    assert (of_accounts in meters.silences(), accounts.losses) == (False, 0)
    assert meter.channels["ticker"].lag.count == 0
    assert dict(meter.channels["book"].lag.up_to())["0.05"] == 1
    assert meter.channels["book"].lag.total == pytest.approx(0.03)


async def test_prices_are_measured_while_they_are_wanted(
    floor: Floor, stage: Stage, storage: Storage
) -> None:
    place = Place("hyperliquid", Network.PAPER)
    channels = [MarketChannel(kind=kind, symbol="BTC-PERP") for kind in KINDS]
    with running_valkey() as valkey:
        async with working(storage, Workflows(), valkey) as (app, _):
            registry = registry_of([StreamingMetrics(app)])

            def value(name: str, **labels: str) -> float | None:
                return registry.get_sample_value(f"perp_dex_{name}", labels)

            stream = {"venue": "hyperliquid", "network": "paper", "source": "stream"}
            about = {"venue": "hyperliquid", "network": "paper", "about": "markets"}
            for channel in channels:
                await app.feeds.join(place, channel)
            for kind in KINDS:
                await until(partial(value, "feed_messages_total", **stream, channel=kind))
                assert value("feed_silence_seconds", **about, channel=kind) is not None
            assert value("feed_live", **stream) == 1
            assert value("feed_lag_seconds_count", **stream, channel="book")
            assert value("stream_fanout_seconds_count", channel="top")
            assert value("feed_lag_seconds_count", **stream, channel="ticker") == 0
            for channel in channels:
                app.feeds.release(place, channel)
            assert value("feed_silence_seconds", **about, channel="book") is None
            assert value("feed_messages_total", **stream, channel="book")
