"""The API process: composition root of the app, `python -m api.main`.

Holds what it needs to seal credentials and to read workflow payloads; opens no credential.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import structlog

from api.app import create_app
from api.authentication import Authenticator, OperatorSessions
from api.context import ApiParts, Context, Endpoints
from api.edge import UI_PATH
from api.serving import listen, server_for
from api.settings import ApiSettings
from api.temporal_ui import ui_client
from bus.connection import Bus
from bus.latest_prices import LatestPrices
from bus.market_requests import MarketRequests
from bus.served_venues import ServedVenuesOnBus
from bus.session_states import SessionStatesOnBus
from domain.errors import PerpDexError, Unavailable
from process.death import protect_memory
from process.heartbeat import Heartbeat
from process.logging import configure_logging
from process.metrics import serving_metrics
from process.signals import stop_event
from sealing.box import BoxLabel, CredentialPart, seal
from sealing.choosing import open_keepers
from sealing.errors import SealingError, SecretFileMissing
from sealing.key_ring import KEY_RING_NAME, LiveKeyRing
from sealing.keys import Recipient, load_public_key, public_key_path
from sealing.token import ensure_api_token
from storage.opening import Storage, open_storage
from workflows.account_read_client import AccountReads
from workflows.bracket_client import BracketWorkflows
from workflows.client import OrderWorkflows, connect
from workflows.close_client import CloseWorkflows
from workflows.condition_client import ConditionWorkflows
from workflows.halt_client import KillSwitchWorkflows
from workflows.leverage_client import Leverages
from workflows.payloads import CodecService
from workflows.reconciliation_client import ReconcileWorkflows
from workflows.rotation_client import Rotations
from workflows.split_client import SplitWorkflows
from workflows.terms_client import AccountTermsReads

EXIT_CONFIGURATION = 2

log = structlog.get_logger("api")


@dataclass(frozen=True, slots=True)
class WorkerSealer:
    """Seals credentials for the workers, with the public key they left in the secrets directory."""

    secrets: Path

    def seal(self, account_id: str, venue: str, private_key: str) -> bytes:
        """Return the sealed trading credential. See `api.ports.Sealer`."""
        try:
            # Read each time: a worker that makes a new pair is heard without a restart.
            recipient = load_public_key(public_key_path(self.secrets, Recipient.WORKER))
        except SecretFileMissing as error:
            raise Unavailable(f"no worker has made its key pair yet: {error}") from None
        label = BoxLabel(account_id=account_id, venue=venue, part=CredentialPart.TRADING)
        return seal(private_key.encode(), recipient, label)


async def run(settings: ApiSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        WrongRevision: the database is missing or of another revision.
        Unavailable: the database does not answer.
        SealingError: a secret file cannot be used.
        OSError: the port is taken.
    """
    stop = stop_event()
    async with AsyncExitStack() as stack:
        heartbeat = await stack.enter_async_context(Heartbeat.from_environment())
        listener = listen(settings.api_host, settings.api_port)
        stack.callback(listener.close)
        parts = await compose(settings, stack, listener)
        app = create_app(parts)
        server = server_for(app)
        context: Context = app.state.context
        metrics = await stack.enter_async_context(
            serving_metrics([app.state.requests], settings.metrics_host, settings.metrics_port)
        )
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listener]))
            await server.serving.wait()
            heartbeat.ready(parts.endpoints.api)
            log.info("api_ready", endpoint=parts.endpoints.api, metrics=metrics)
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            heartbeat.draining()
            log.info("api_drains")
            context.draining.set()
            server.should_exit = True


async def compose(
    settings: ApiSettings, stack: AsyncExitStack, listener: socket.socket
) -> ApiParts:
    """Make every part of the app; `stack` closes them."""
    home = settings.perp_dex_home.expanduser()
    secrets = home / "secrets"
    keys = await _keys(settings, stack, secrets)
    authenticator = Authenticator(ensure_api_token(home / "api-token"))
    storage = await open_storage(settings.database_url, home)
    stack.push_async_callback(storage.close)
    bus = await _bus(settings, stack, storage)
    client = await connect(
        settings.temporal_address, settings.temporal_namespace, keys, refused=_payload_refused
    )
    desk = OrderWorkflows(client)
    requests = MarketRequests(bus)
    return ApiParts(
        orders=storage.orders,
        accounts=storage.accounts,
        account_changes=storage.account_changes,
        account_groups=storage.account_groups,
        markets=storage.markets,
        audit=storage.audit,
        desk=desk,
        closes=storage.closes,
        close_desk=CloseWorkflows(client),
        conditions=storage.conditions,
        condition_desk=ConditionWorkflows(client),
        brackets=storage.brackets,
        bracket_desk=BracketWorkflows(client),
        net_positions=storage.net_positions,
        positions=storage.positions,
        risk=storage.risk,
        halts=storage.halts,
        kill_switches=storage.kill_switches,
        halt_desk=KillSwitchWorkflows(client),
        dead_man=storage.dead_man,
        account_reader=AccountReads(client),
        rotation=storage.rotation,
        rotation_desk=Rotations(client),
        leverage_desk=Leverages(client),
        reconciliations=storage.reconciliations,
        reconciliation_gate=storage.reconciliations,
        reconcile_desk=ReconcileWorkflows(client),
        key_claims=storage.key_claims,
        routes=storage.routes,
        splits=storage.splits,
        split_desk=SplitWorkflows(client),
        terms=AccountTermsReads(client),
        books=requests,
        prices=requests,
        past=requests,
        latest_prices=LatestPrices(bus),
        served_venues=ServedVenuesOnBus(bus),
        sessions_of=SessionStatesOnBus(bus),
        nonce_lanes=storage.signer_nonces,
        codec=CodecService(keys),
        sealer=WorkerSealer(secrets),
        authenticator=authenticator,
        sessions=OperatorSessions(authenticator.derived_key("operator session"), _now),
        endpoints=_endpoints(settings, listener),
        venues=settings.venues,
        hosts=settings.hosts,
        origins=_origins(settings),
        page_origins=settings.page_origins,
        now=_now,
        probes={"storage": _storage_probe(storage), "temporal": _temporal_probe(desk)},
        temporal_ui=_ui(settings, stack),
    )


async def _keys(settings: ApiSettings, stack: AsyncExitStack, secrets: Path) -> LiveKeyRing:
    """Open the ring of payload keys, which hears of new ones."""
    keepers = await asyncio.to_thread(open_keepers, settings, secrets)
    log.info("keys_kept", keeper=keepers.chosen.where(), passed_over=keepers.passed_over)
    return await stack.enter_async_context(
        await asyncio.to_thread(LiveKeyRing, secrets / KEY_RING_NAME, keepers, _key_trouble)
    )


async def _bus(settings: ApiSettings, stack: AsyncExitStack, storage: Storage) -> Bus:
    """Return the bus of the installation that the database belongs to."""
    group = await storage.installation()
    bus = Bus(settings.redis_url, ca_file=settings.redis_ca_file, group=group)
    stack.push_async_callback(bus.close)
    return bus


def _ui(settings: ApiSettings, stack: AsyncExitStack) -> httpx2.AsyncClient | None:
    """Return a client of Temporal's interface, where this API serves it."""
    if settings.temporal_ui_upstream is None:
        return None
    client = ui_client(settings.temporal_ui_upstream)
    stack.push_async_callback(client.aclose)
    return client


def _origins(settings: ApiSettings) -> frozenset[str]:
    """Return the origins of Temporal's interface; served here it has this API's own."""
    if settings.temporal_ui_upstream is not None or settings.temporal_ui_url is None:
        return frozenset()
    return frozenset({settings.temporal_ui_url})


def _payload_refused(reason: str) -> None:
    log.error("payload_refused", reason=reason)


def _key_trouble(error: SealingError) -> None:
    log.error("key_file_not_read_again", reason=str(error))


def _endpoints(settings: ApiSettings, listener: socket.socket) -> Endpoints:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared
    streaming = {"0.0.0.0": "127.0.0.1"}.get(settings.streaming_host, settings.streaming_host)  # noqa: S104 - compared
    api = settings.api_url or f"http://{reachable}:{port}"
    return Endpoints(
        api=api,
        streaming=settings.streaming_url or f"ws://{streaming}:{settings.streaming_port}",
        temporal_ui=api + UI_PATH if settings.temporal_ui_upstream else settings.temporal_ui_url,
        temporal_namespace=settings.temporal_namespace,
        simulator=settings.hyperliquid_paper_url,
    )


def _storage_probe(storage: Storage) -> Callable[[], Awaitable[None]]:
    async def probe() -> None:
        await storage.check()

    return probe


def _temporal_probe(desk: OrderWorkflows) -> Callable[[], Awaitable[None]]:
    async def probe() -> None:
        if not await desk.healthy():
            raise Unavailable("Temporal does not answer")

    return probe


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> int:
    """Run the process; 0 after a stop as asked, 2 when it is configured wrongly."""
    settings = ApiSettings.load_or_exit()
    configure_logging(service="api", log_format=settings.log_format, level=settings.log_level)
    # Credentials come by, and the payload keys stay.
    protect_memory()
    try:
        asyncio.run(run(settings))
    except (PerpDexError, SealingError, OSError) as error:
        # Each says what was expected and what to do, such as `perp-dex db upgrade`.
        log.critical("api_cannot_start", reason=str(error))
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    # SIGINT before the loop runs ends the process as anywhere else.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
