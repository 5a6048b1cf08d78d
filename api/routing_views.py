"""Responses about choices: each candidate with its figures, each other account with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from api.views import OrderView, View, moment
from domain.numbers import plain
from domain.route_places import Exclusion
from domain.routing import EXACT, Figures
from domain.routing_store import Route

PLACES = Decimal("0.00000001")


class FiguresView(View):
    """What a quantity would be in one account; money in quote units, fees as fractions.

    `executable` of it trades at once, at `average_price`; `resting` waits, or is not filled. `cost`
    compares accounts: what a buy pays after fees, or what a sell brings, below zero; what does not
    execute now counts as traded at the limit. `load` is the fullest of the account's rooms then:
    margin, open orders, requests.
    """

    account_id: str
    account: str
    venue: str
    quantity: str
    executable: str
    average_price: str | None
    resting: str
    limit: str
    taker_fee: str
    maker_fee: str
    cost: str
    margin_needed: str
    margin_available: str
    load: str
    book_age_s: str | None


class ExclusionView(View):
    """An account that was left out: `why` for programs, `reason` for people."""

    account_id: str
    account: str
    venue: str
    why: str
    reason: str


class ShareView(View):
    """What one account takes, and by which figures."""

    account_id: str
    account: str
    venue: str
    quantity: str
    why: str


class RouteView(View):
    """Where an order goes, fixed before anything was sent; `order_id` None: a dry run.

    `candidates` could take it whole, best first. Of a split order `parts` are the figures of its
    shares.
    """

    order_id: str | None
    made_at: str
    split: bool
    shares: list[ShareView]
    candidates: list[FiguresView]
    parts: list[FiguresView]
    exclusions: list[ExclusionView]


class PlacedOrderView(OrderView):
    """An order that was placed; `routing` where its account was chosen."""

    routing: RouteView | None = None


def figures_view(figures: Figures) -> FiguresView:
    """Return the view of figures; money rounded to eight decimals."""
    average = figures.average_price
    age = figures.book_age_s
    return FiguresView(
        account_id=figures.account_id,
        account=figures.account,
        venue=figures.venue,
        quantity=plain(figures.quantity),
        executable=plain(figures.executable),
        average_price=None if average is None else rounded(average),
        resting=plain(figures.resting),
        limit=plain(figures.limit),
        taker_fee=plain(figures.taker_fee),
        maker_fee=plain(figures.maker_fee),
        cost=rounded(figures.cost),
        margin_needed=rounded(figures.margin_needed),
        margin_available=rounded(figures.margin_available),
        load=rounded(figures.load),
        book_age_s=None if age is None else plain(age),
    )


def exclusion_view(exclusion: Exclusion) -> ExclusionView:
    """Return the view of an account that was left out."""
    return ExclusionView(
        account_id=exclusion.account_id,
        account=exclusion.account,
        venue=exclusion.venue,
        why=exclusion.why.value,
        reason=exclusion.reason,
    )


def exclusion_members(exclusions: Sequence[Exclusion]) -> list[dict[str, object]]:
    """Return exclusions as the members of a problem."""
    return [exclusion_view(each).json_ready() for each in exclusions]


def route_view(route: Route, labels: Mapping[str, str], *, dry: bool = False) -> RouteView:
    """Return the view of a choice; `labels` are those of accounts by id."""
    return RouteView(
        order_id=None if dry else route.order_id,
        made_at=moment(route.made_at),
        split=route.is_split,
        shares=[
            ShareView(
                account_id=share.account_id,
                account=labels.get(share.account_id, share.account_id),
                venue=share.venue,
                quantity=plain(share.quantity),
                why=share.why,
            )
            for share in route.shares
        ],
        candidates=[figures_view(each) for each in route.candidates],
        parts=[figures_view(each) for each in route.parts],
        exclusions=[exclusion_view(each) for each in route.exclusions],
    )


def rounded(number: Decimal) -> str:
    """Return money as it is shown: eight decimals at most."""
    return plain(number.quantize(PLACES, context=EXACT))
