"""The async client of the public API, for the command line and for bots.

Knows the wire of our own API and nothing behind it: no venue, no Temporal, no database.
"""

from perp_dex_client.brackets import Bracket, BracketExit, BracketsApi, Exit
from perp_dex_client.client import PerpDexClient
from perp_dex_client.closing import Close, CloseRequest, ClosesApi, ClosingOrder
from perp_dex_client.errors import (
    ApiError,
    ApiProblem,
    InvalidRequest,
    NotAuthorized,
    OrderRefused,
    OutcomeUnknown,
    ServiceBusy,
    StateConflict,
    UnknownObject,
    Unreachable,
    UnreadableAnswer,
)
from perp_dex_client.halts import HaltAnswer, Halts, HaltsApi, KillSwitch, ResumeAnswer
from perp_dex_client.models import (
    Account,
    Batch,
    BatchAnswer,
    Book,
    DryRun,
    Endpoints,
    Event,
    Fill,
    History,
    Level,
    Market,
    Order,
    OrderPage,
)
from perp_dex_client.orders import OrderRequest
from perp_dex_client.positions import (
    Balance,
    Exposure,
    Pnl,
    PnlRow,
    Position,
    Positions,
    PositionsApi,
)
from perp_dex_client.reconciliation import (
    Finding,
    Reconciliation,
    ReconciliationCounts,
    Reconciliations,
    ReconciliationsApi,
)
from perp_dex_client.risk import LimitUse, Risk, RiskHalt, RiskScope
from perp_dex_client.watching import OrderEvent, watch_orders

__all__ = [
    "Account",
    "ApiError",
    "ApiProblem",
    "Balance",
    "Batch",
    "BatchAnswer",
    "Book",
    "Bracket",
    "BracketExit",
    "BracketsApi",
    "Close",
    "CloseRequest",
    "ClosesApi",
    "ClosingOrder",
    "DryRun",
    "Endpoints",
    "Event",
    "Exit",
    "Exposure",
    "Fill",
    "Finding",
    "HaltAnswer",
    "Halts",
    "HaltsApi",
    "History",
    "InvalidRequest",
    "KillSwitch",
    "Level",
    "LimitUse",
    "Market",
    "NotAuthorized",
    "Order",
    "OrderEvent",
    "OrderPage",
    "OrderRefused",
    "OrderRequest",
    "OutcomeUnknown",
    "PerpDexClient",
    "Pnl",
    "PnlRow",
    "Position",
    "Positions",
    "PositionsApi",
    "Reconciliation",
    "ReconciliationCounts",
    "Reconciliations",
    "ReconciliationsApi",
    "ResumeAnswer",
    "Risk",
    "RiskHalt",
    "RiskScope",
    "ServiceBusy",
    "StateConflict",
    "UnknownObject",
    "Unreachable",
    "UnreadableAnswer",
    "watch_orders",
]
