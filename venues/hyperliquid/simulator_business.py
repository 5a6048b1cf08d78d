"""What each action of `/exchange` does, once its nonce and its signer are accepted.

Turns actions into operations of the exchange and their results into the venue's answers and error
texts. Runs inside one action of the exchange.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from venues.hyperliquid import simulator_actions as wire
from venues.hyperliquid.simulator_limits import Limits
from venues.hyperliquid.simulator_views import UNIFIED_MODES, number, rounded
from venues.simulation import ownership, trading
from venues.simulation.exchange import Exchange
from venues.simulation.records import (
    Account,
    Order,
    OrderStatus,
    Reason,
    Side,
    TimeInForce,
)

Json = dict[str, Any]

DEFAULT: Final[Json] = {"type": "default"}
_GONE: Final = "Order was never placed, already canceled, or filled."
_CANNOT_MODIFY: Final = "Cannot modify canceled or filled order"
_WEIGHT_MAX: Final = 200
_TOO_FAR: Final = "Order price cannot be more than 80% away from the reference price"
_FARTHEST: Final = Decimal("0.8")
_MICRO: Final = Decimal("0.000001")
_SCHEDULE_MIN_MS: Final = 5_000
_SCHEDULES_PER_DAY: Final = 10
_SCHEDULE_VOLUME: Final = 1_000_000
_DAY_MS: Final = 86_400_000
_AGENT_DAYS: Final = 90
_AGENT_DAYS_MAX: Final = 180
_AGENT_NAME_MAX: Final = 16
_VALID_UNTIL: Final = re.compile(r"(?P<name>.*?) valid_until (?P<time>\d+)\Z")
_REQUEST_PRICE: Final = Decimal("0.0005")

_TIFS: Final = {"Gtc": TimeInForce.GTC, "Ioc": TimeInForce.IOC, "Alo": TimeInForce.ALO}
_TEXTS: Final[dict[Reason, str]] = {
    Reason.TICK: "Price must be divisible by tick size.",
    Reason.MIN_NOTIONAL: "Order must have minimum value of $10.",
    Reason.MARGIN: "Insufficient margin to place order.",
    Reason.REDUCE_ONLY: "Reduce only order would increase position.",
    Reason.NO_MATCH: "Order could not immediately match against any resting orders.",
    Reason.NO_LIQUIDITY: "No liquidity available for market order.",
    Reason.BAD_TRIGGER: "Invalid TP/SL price.",
    Reason.INVALID_PRICE: "Order has invalid price.",
    Reason.INVALID_QUANTITY: "Order has invalid size.",
    Reason.ZERO_QUANTITY: "Order has zero size.",
    Reason.UNKNOWN_MARKET: "Order has invalid asset.",
    # No venue text for these two is known; the wording is ours.
    Reason.TOO_MANY_ORDERS: "Too many open orders.",
    Reason.DUPLICATE_CLIENT_ID: "Order with this client order id is already open.",
}


class Refused(Exception):
    """The whole action is refused; `text` is the venue's."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Business:
    """Applies actions for an account."""

    def __init__(self, exchange: Exchange, limits: Limits, *, is_mainnet: bool) -> None:
        self._exchange = exchange
        self._limits = limits
        self._chain = "Mainnet" if is_mainnet else "Testnet"
        self._symbols = tuple(exchange.tables.instruments)
        self._handlers: dict[type, Callable[[Any, Account], Json]] = {
            wire.OrderAction: self._order,
            wire.CancelAction: self._cancel,
            wire.CancelByCloidAction: self._cancel_by_cloid,
            wire.ModifyAction: self._modify,
            wire.BatchModifyAction: self._batch_modify,
            wire.ScheduleCancelAction: self._schedule_cancel,
            wire.UpdateLeverageAction: self._update_leverage,
            wire.UpdateIsolatedMarginAction: self._update_isolated_margin,
            wire.NoopAction: self._noop,
            wire.AgentSetAbstractionAction: self._agent_set_abstraction,
        }
        self._master_handlers: dict[type, Callable[[Any, Account], Json]] = {
            wire.ReserveRequestWeightAction: self._reserve_request_weight,
            wire.CreateSubAccountAction: self._create_sub_account,
            wire.SubAccountTransferAction: self._sub_account_transfer,
        }
        self._user_handlers: dict[type, Callable[[Any, Account], Json]] = {
            wire.ApproveAgentAction: self._approve_agent,
            wire.UsdSendAction: self._usd_send,
            wire.WithdrawAction: self._withdraw,
            wire.UsdClassTransferAction: self._usd_class_transfer,
            wire.ApproveBuilderFeeAction: self._approve_builder_fee,
            wire.UserSetAbstractionAction: self._user_set_abstraction,
        }

    def apply(
        self, envelope: wire.Envelope, *, signer: str, owner: Account, account: Account
    ) -> Json:
        """Do what the action says and return the `response` object. Raises `Refused`."""
        action = envelope.action
        handler = self._handlers.get(type(action))
        if handler is not None:
            return handler(action, account)
        handler = self._master_handlers.get(type(action))
        if handler is not None:
            if signer != owner.address:
                raise Refused(f"Must deposit before performing actions. User: {signer}")
            return handler(action, owner)
        self._check_user_signed(envelope)
        return self._user_handlers[type(action)](action, owner)

    # Orders.

    def _order(self, action: wire.OrderAction, account: Account) -> Json:
        _check_weight(len(action.orders))
        if not action.orders:
            return _statuses("order", [{"error": "Orders are empty."}])
        early = self._batch_error(action)
        if early is not None:
            return _statuses("order", [{"error": early}])
        if action.grouping == "normalTpsl" and len(action.orders) > 1:
            return _statuses("order", self._place_tree(action.orders, account))
        grouped = action.grouping == "positionTpsl"
        statuses = [self._place(one, account, is_position=grouped) for one in action.orders]
        return _statuses("order", statuses)

    def _batch_error(self, action: wire.OrderAction) -> str | None:
        """Return the one error that refuses a whole batch before any order of it is looked at."""
        children: list[wire.OrderWire] = []
        if action.grouping == "normalTpsl":
            children = action.orders[1:]
        elif action.grouping == "positionTpsl":
            children = action.orders
        if any(not one.r or one.t.trigger is None for one in children):
            # The venue's wording is not recorded; that it is one error for the batch is documented.
            return "TP/SL orders must be reduce only."
        for one in action.orders:
            symbol = self._symbol(one.a)
            if symbol is None or one.t.trigger is not None:
                continue
            mark = self._exchange.tables.markets[symbol].mark_price
            if abs(Decimal(one.p) - mark) > mark * _FARTHEST:
                return f"{_TOO_FAR} asset={one.a}"
        return None

    def _place(self, one: wire.OrderWire, account: Account, *, is_position: bool) -> Json | str:
        request = self._request(one, is_position=is_position)
        if request is None:
            return _error(_TEXTS[Reason.UNKNOWN_MARKET], one.a)
        placement = trading.place(
            self._exchange.tables, self._exchange.switches, account.address, request
        )
        if is_position and placement.refusal is None:
            return "waitingForTrigger"
        return self._placed(placement, one.a)

    def _place_tree(self, orders: list[wire.OrderWire], account: Account) -> list[Json | str]:
        requests = [self._request(one, is_position=False) for one in orders]
        known = [one for one in requests if one is not None]
        if len(known) < len(orders):
            return [_error(_TEXTS[Reason.UNKNOWN_MARKET], one.a) for one in orders]
        placements = trading.place_tree(
            self._exchange.tables, self._exchange.switches, account.address, known
        )
        statuses: list[Json | str] = [self._placed(placements[0], orders[0].a)]
        filled = placements[0].order.status is OrderStatus.FILLED
        for one, placement in zip(orders[1:], placements[1:], strict=True):
            if placement.refusal is not None:
                statuses.append(self._placed(placement, one.a))
            else:
                statuses.append("waitingForTrigger" if filled else "waitingForFill")
        return statuses

    def _placed(self, placement: trading.Placement, asset: int) -> Json:
        order, refusal = placement.order, placement.refusal
        if refusal is not None:
            return _error(_refusal_text(refusal), asset)
        body: Json
        if order.status is OrderStatus.FILLED:
            decimals = self._exchange.tables.instruments[order.symbol].price_decimals
            average = rounded(order.filled_notional / order.filled, decimals)
            body = {"totalSz": number(order.filled), "avgPx": average, "oid": order.venue_order_id}
            kind = "filled"
        else:
            body = {"oid": order.venue_order_id}
            kind = "resting"
        if order.client_order_id is not None:
            body["cloid"] = order.client_order_id
        return {kind: body}

    def _request(self, one: wire.OrderWire, *, is_position: bool) -> trading.OrderRequest | None:
        symbol = self._symbol(one.a)
        if symbol is None:
            return None
        trigger = None
        tif = TimeInForce.GTC
        is_market = False
        if one.t.trigger is not None:
            trigger = trading.TriggerRequest(
                price=Decimal(one.t.trigger.triggerPx),
                is_market=one.t.trigger.isMarket,
                is_take_profit=one.t.trigger.tpsl == "tp",
            )
        elif one.t.limit is not None:
            is_market = one.t.limit.tif not in _TIFS
            tif = _TIFS.get(one.t.limit.tif, TimeInForce.IOC)
        return trading.OrderRequest(
            symbol=symbol,
            side=Side.BUY if one.b else Side.SELL,
            price=Decimal(one.p),
            quantity=Decimal(one.s),
            time_in_force=tif,
            reduce_only=one.r,
            client_order_id=one.c,
            trigger=trigger,
            is_position_tpsl=is_position,
            is_market=is_market,
        )

    # Cancels and modifies.

    def _cancel(self, action: wire.CancelAction, account: Account) -> Json:
        _check_weight(len(action.cancels))
        if action.f and any(self._is_trigger(account, one.o) for one in action.cancels):
            # Whether the venue refuses the item or the action is not known; wording is ours.
            raise Refused("Fast cancel is not allowed for trigger orders.")
        return _statuses(
            "cancel", [self._cancel_one(account, one.o, one.a) for one in action.cancels]
        )

    def _cancel_by_cloid(self, action: wire.CancelByCloidAction, account: Account) -> Json:
        _check_weight(len(action.cancels))
        return _statuses(
            "cancel", [self._cancel_one(account, one.cloid, one.asset) for one in action.cancels]
        )

    def _cancel_one(self, account: Account, reference: int | str, asset: int) -> Json | str:
        order = trading.live_order(self._exchange.tables, account.address, reference)
        if order is None or order.symbol != self._symbol(asset):
            return _error(_GONE, asset)
        trading.cancel(self._exchange.tables, order)
        return "success"

    def _is_trigger(self, account: Account, oid: int) -> bool:
        order = trading.live_order(self._exchange.tables, account.address, oid)
        return order is not None and order.trigger is not None

    def _modify(self, action: wire.ModifyAction, account: Account) -> Json:
        status = self._replace(action.oid, action.order, account, always=action.a)
        if isinstance(status, dict) and "error" in status:
            raise Refused(str(status["error"]))
        return DEFAULT

    def _batch_modify(self, action: wire.BatchModifyAction, account: Account) -> Json:
        _check_weight(len(action.modifies))
        statuses = [
            self._replace(one.oid, one.order, account, always=action.a) for one in action.modifies
        ]
        return _statuses("order", statuses)

    def _replace(
        self, reference: int | str, one: wire.OrderWire, account: Account, *, always: bool
    ) -> Json | str:
        tables = self._exchange.tables
        request = self._request(one, is_position=False)
        if request is None:
            return _error(_TEXTS[Reason.UNKNOWN_MARKET], one.a)
        if not always and (request.trigger is not None or request.time_in_force is TimeInForce.IOC):
            # Documented as not allowed; the venue's wording is not recorded.
            return _error("Modify without always place must be post only.", one.a)
        old: Order | None = trading.live_order(tables, account.address, reference)
        placement = trading.replace(
            tables, self._exchange.switches, old, request, account.address, always_place=always
        )
        if placement is None:
            return _error(_CANNOT_MODIFY, one.a)
        return self._placed(placement, one.a)

    # The account.

    def _noop(self, action: wire.NoopAction, account: Account) -> Json:
        del action, account
        return DEFAULT

    def _schedule_cancel(self, action: wire.ScheduleCancelAction, account: Account) -> Json:
        now_ms = self._exchange.tables.now_ms
        gated = self._exchange.switches.schedule_cancel_needs_volume
        if gated and account.volume < _SCHEDULE_VOLUME:
            raise Refused(
                "Cannot set scheduled cancel time until enough volume traded. Required: "
                f"${_SCHEDULE_VOLUME}. Traded: ${account.volume:.2f}."
            )
        if action.time is not None:
            if action.time < now_ms + _SCHEDULE_MIN_MS:
                # The venue's wording is not recorded; the five seconds are documented.
                raise Refused("Scheduled cancel time must be at least 5 seconds in the future.")
            used = account.cancel_all_count if account.cancel_all_day == now_ms // _DAY_MS else 0
            if used >= _SCHEDULES_PER_DAY:
                raise Refused("Cannot set scheduled cancel time: triggered 10 times today.")
        account.cancel_all_at_ms = action.time
        self._exchange.tables.touch(account)
        return DEFAULT

    def _update_leverage(self, action: wire.UpdateLeverageAction, account: Account) -> Json:
        symbol = self._known_symbol(action.asset)
        problem = ownership.set_leverage(
            self._exchange.tables,
            account.address,
            symbol,
            action.leverage,
            is_isolated=not action.isCross,
        )
        if problem is Reason.INVALID_QUANTITY:
            raise Refused("Invalid leverage value")
        if problem is Reason.USER:
            # Refused by the venue too; its wording is not recorded.
            raise Refused("Cannot switch leverage type with open position.")
        if problem is not None:
            raise Refused("Insufficient margin to update leverage.")
        return DEFAULT

    def _update_isolated_margin(
        self, action: wire.UpdateIsolatedMarginAction, account: Account
    ) -> Json:
        symbol = self._known_symbol(action.asset)
        problem = ownership.move_isolated_margin(
            self._exchange.tables, account.address, symbol, action.ntli * _MICRO
        )
        if problem is not None:
            raise Refused("Insufficient margin or no isolated position to update.")
        return DEFAULT

    def _agent_set_abstraction(
        self, action: wire.AgentSetAbstractionAction, account: Account
    ) -> Json:
        names = {"i": "disabled", "u": "unifiedAccount", "p": "portfolioMargin"}
        account.mode = names[action.abstraction]
        self._exchange.tables.touch(account)
        return DEFAULT

    # Only the master key.

    def _reserve_request_weight(
        self, action: wire.ReserveRequestWeightAction, account: Account
    ) -> Json:
        price = action.weight * _REQUEST_PRICE
        if account.cash < price:
            raise Refused("Insufficient balance to reserve request weight.")
        ownership.move_cash(self._exchange.tables, account, -price, "reserveRequestWeight")
        account.requests_bought += action.weight
        return DEFAULT

    def _create_sub_account(self, action: wire.CreateSubAccountAction, account: Account) -> Json:
        tables = self._exchange.tables
        digest = hashlib.blake2b(
            f"{account.address} {action.name} {tables.action_hash}".encode(), digest_size=20
        )
        address = "0x" + digest.hexdigest()
        ownership.open_account(
            tables, address, Decimal(0), master=account.address, name=action.name
        )
        return {"type": "createSubAccount", "data": address}

    def _sub_account_transfer(
        self, action: wire.SubAccountTransferAction, account: Account
    ) -> Json:
        tables = self._exchange.tables
        sub = tables.accounts.get(action.subAccountUser)
        if sub is None or sub.master != account.address:
            raise Refused(f"Vault not registered: {action.subAccountUser}")
        source, target = (account, sub) if action.isDeposit else (sub, account)
        if not ownership.transfer(tables, source, target, action.usd * _MICRO):
            raise Refused("Insufficient balance for transfer.")
        return DEFAULT

    # Signed as typed data of their own.

    def _check_user_signed(self, envelope: wire.Envelope) -> None:
        action = envelope.action
        inner = getattr(action, "nonce", None) or getattr(action, "time", None)
        if inner != envelope.nonce:
            raise Refused("Nonce mismatch.")
        if getattr(action, "hyperliquidChain", None) != self._chain:
            raise Refused("Mainnet and testnet require different signature.")

    def _approve_agent(self, action: wire.ApproveAgentAction, account: Account) -> Json:
        tables = self._exchange.tables
        name, valid_until_ms = action.agentName or "", tables.now_ms + _AGENT_DAYS * _DAY_MS
        timed = _VALID_UNTIL.match(name)
        if timed is not None:
            name = timed["name"]
            latest = tables.now_ms + _AGENT_DAYS_MAX * _DAY_MS
            valid_until_ms = min(int(timed["time"]), latest)
        address = wire.normal_address(action.agentAddress)
        if len(name) > _AGENT_NAME_MAX:
            raise Refused("Agent name is too long.")
        if address in tables.accounts:
            raise Refused("Cannot use an existing user as agent.")
        if not ownership.approve_agent(tables, account.address, address, name, valid_until_ms):
            raise Refused("Too many agents.")
        return DEFAULT

    def _usd_send(self, action: wire.UsdSendAction, account: Account) -> Json:
        tables = self._exchange.tables
        target = tables.accounts.get(wire.normal_address(action.destination))
        amount = Decimal(wire.normal_decimal(action.amount))
        if target is None:
            target = ownership.open_account(
                tables, wire.normal_address(action.destination), Decimal(0)
            )
        if not ownership.transfer(tables, account, target, amount):
            raise Refused("Insufficient balance for transfer.")
        return DEFAULT

    def _withdraw(self, action: wire.WithdrawAction, account: Account) -> Json:
        tables = self._exchange.tables
        amount = Decimal(wire.normal_decimal(action.amount))
        if not ownership.can_spare(tables, account, amount):
            raise Refused("Insufficient balance for withdrawal.")
        ownership.move_cash(tables, account, -amount, "withdraw", action.destination)
        return DEFAULT

    def _usd_class_transfer(self, action: wire.UsdClassTransferAction, account: Account) -> Json:
        if account.mode in UNIFIED_MODES:
            raise Refused("Action disabled when unified account is active")
        amount = Decimal(wire.normal_decimal(action.amount))
        signed = -amount if action.toPerp else amount
        if amount <= 0 or not ownership.put_aside(self._exchange.tables, account, signed):
            raise Refused("Insufficient balance for transfer.")
        return DEFAULT

    def _approve_builder_fee(self, action: wire.ApproveBuilderFeeAction, account: Account) -> Json:
        del action, account
        return DEFAULT

    def _user_set_abstraction(
        self, action: wire.UserSetAbstractionAction, account: Account
    ) -> Json:
        account.mode = action.abstraction
        self._exchange.tables.touch(account)
        return DEFAULT

    # Markets.

    def _symbol(self, asset: int) -> str | None:
        return self._symbols[asset] if asset < len(self._symbols) else None

    def _known_symbol(self, asset: int) -> str:
        symbol = self._symbol(asset)
        if symbol is None:
            raise Refused(f"Unknown asset {asset}")
        return symbol


def _check_weight(count: int) -> None:
    if count > _WEIGHT_MAX:
        raise Refused(f"Signed action over weight limit of {_WEIGHT_MAX}.")


def _refusal_text(refusal: trading.Refusal) -> str:
    if refusal.reason is Reason.POST_ONLY_CROSS:
        bid = "0" if refusal.bid is None else format(refusal.bid.normalize(), "f")
        ask = "0" if refusal.ask is None else format(refusal.ask.normalize(), "f")
        return f"Post only order would have immediately matched, bbo was {bid}@{ask}."
    return _TEXTS[refusal.reason]


def _error(text: str, asset: int) -> Json:
    return {"error": f"{text} asset={asset}"}


def _statuses(kind: str, statuses: list[Json | str] | list[Json]) -> Json:
    return {"type": kind, "data": {"statuses": statuses}}
