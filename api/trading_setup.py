"""The routes that change how an account trades: its credential, and its leverage per market.

A credential that comes in is sealed at once and forgotten; the account trades on with the old one
until the new one has proven itself.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.bodies import Body, CredentialBody
from api.context import Caller, Ctx, Wait
from api.failures import respond
from api.fields import MarketName, whole
from api.placing import market_for
from api.problems import Problem, ProblemError, invalid_input
from api.strict_json import StrictRoute
from api.views import AccountView, View, account_view
from domain.accounts import MarginMode
from domain.errors import Unavailable
from domain.principals import Action

_WAIT_LEAST_S = 1.0

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"], route_class=StrictRoute)


class LeverageBody(Body):
    """Leverage and margin mode of one market."""

    leverage: Annotated[int, whole(1, 1000)]
    margin_mode: MarginMode = MarginMode.CROSS


class LeverageView(View):
    """A market's leverage and margin mode; `decided` false: it is being found out."""

    account: str
    account_id: str
    symbol: str
    leverage: int
    margin_mode: str
    decided: bool


@router.post(
    "/{account_id}/credential",
    operation_id="rotate_credential",
    response_model=AccountView,
    responses={202: {"model": AccountView, "description": "The credential is being checked."}},
)
async def rotate_credential(
    request: Request,
    account_id: str,
    body: CredentialBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Change an account's credential: 200 changed, 422 refused and destroyed, 202 in checking.

    The account trades on with its present credential until the new one has proven to sign for it.
    """
    account = await context.account(caller, Action.ADMIN, account_id)
    subject = f"account:{account.account_id}"
    trading = context.parts.sealer.seal(
        account.account_id, account.venue, body.private_key.get_secret_value().strip()
    )
    await context.parts.rotation.propose(account.account_id, trading=trading, feed=None)
    await context.audit(caller, "account.rotate", subject, "sealed")
    try:
        answer = await context.ask(
            context.parts.rotation_desk.rotate(account, wait_s=max(wait_s, _WAIT_LEAST_S))
        )
    except Unavailable:
        # The candidate is kept; asking again checks it, and nothing has changed meanwhile.
        await context.audit(caller, "account.rotate", subject, "not checked")
        raise
    if answer is None:
        return JSONResponse(account_view(account).json_ready(), status_code=HTTPStatus.ACCEPTED)
    outcome = "refused" if answer.refusal else "changed"
    await context.audit(caller, "account.rotate", subject, outcome)
    view = account_view(answer.account).json_ready()
    if answer.refusal is None:
        return JSONResponse(view)
    problem = Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="credential_refused",
        detail=f"{answer.refusal}; the account keeps its present credential",
        outcome="rejected",
        errors=({"pointer": "/private_key", "detail": answer.refusal},),
        extra={"account": view},
    )
    return respond(request, problem)


@router.put(
    "/{account_id}/instruments/{symbol}/leverage",
    operation_id="set_leverage",
    response_model=LeverageView,
    responses={202: {"model": LeverageView, "description": "Not decided yet."}},
)
async def set_leverage(
    request: Request,
    account_id: str,
    symbol: MarketName,
    body: LeverageBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Set a market's leverage and margin mode: 200 set, 422 refused, 202 not decided yet.

    Repeating it is harmless: it always asks for the same.
    """
    account = await context.account(caller, Action.TRADE, account_id)
    market = await market_for(context, account, symbol)
    if body.leverage > market.max_leverage:
        detail = f"expected 1 to {market.max_leverage} for {symbol}, found {body.leverage}"
        raise ProblemError(invalid_input("/leverage", detail))
    answer = await context.ask(
        context.parts.leverage_desk.set(
            account,
            market.symbol,
            body.leverage,
            body.margin_mode,
            wait_s=max(wait_s, _WAIT_LEAST_S),
        )
    )
    refusal = None if answer is None else answer.refusal
    await context.audit(
        caller,
        "account.leverage",
        f"account:{account.account_id}",
        "undecided" if answer is None else "refused" if refusal else "set",
        detail={"symbol": market.symbol, "leverage": str(body.leverage)},
    )
    if refusal is not None:
        return respond(request, _refused(refusal))
    view = LeverageView(
        account=account.label,
        account_id=account.account_id,
        symbol=market.symbol,
        leverage=body.leverage,
        margin_mode=body.margin_mode.value,
        decided=answer is not None,
    )
    status = HTTPStatus.OK if answer is not None else HTTPStatus.ACCEPTED
    return JSONResponse(view.json_ready(), status_code=status)


def _refused(detail: str) -> Problem:
    return Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="leverage_refused",
        detail=detail,
        outcome="rejected",
        errors=({"pointer": "/leverage", "detail": detail},),
    )
