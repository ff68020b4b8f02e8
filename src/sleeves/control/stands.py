"""How an instruction stands once it was carried out: by its orders, its transfer, and what its sleeves hold now.

Read from the desk each time, so it says later what became of what was sent. Nothing is called closed that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from attrs import evolve

from ..facts import Transferred
from ..facts import key as fact_key
from ..instructions import (
    Answer,
    Cancel,
    Close,
    CloseAll,
    Code,
    Confirm,
    Deposit,
    Disarm,
    Instruction,
    Kill,
    Open,
    Pause,
    Rebalance,
    Settle,
    Stop,
    Withdraw,
)
from ..money import Amount
from ..orders import OrderStatus
from ..records import Asked
from .case import Case

__all__ = ["stands", "under_way"]


def stands(case: Case) -> Answer:
    """How it stands now, all of it being carried out."""
    look = _STANDS.get(type(case.instruction))
    return case.say(Code.DONE, "done") if look is None else look(case)


def under_way(case: Case) -> Answer:
    """How it stands now, not all of it being carried out."""
    look = _STANDS.get(type(case.instruction))
    if look is None or not case.left_traces(Code.UNKNOWN):
        return case.say(Code.UNDER_WAY, "it is under way: its venue has not answered yet")
    answer = look(case)
    return evolve(answer, code=Code.UNDER_WAY, message=f"it is under way: {answer.message}")


def _orders_stand(case: Case) -> Answer:
    """By the orders that it led to: the worst of them speaks."""
    orders = case.orders()
    status = " ".join(f"{name} {status}" for name, status in orders.items()) if len(orders) > 1 else "".join(orders.values())
    filled = _filled(case, orders)
    told = {"status": status, "filled": filled}
    # one that was under way when the program ended may have left the house or not
    in_doubt = (OrderStatus.UNKNOWN, OrderStatus.SUBMITTED) if case.desk.recovering else (OrderStatus.UNKNOWN,)
    unknown = [name for name, one in orders.items() if one in in_doubt]
    if unknown:
        return case.say(
            Code.UNKNOWN, f"the answer about {' '.join(unknown)} is lost: what it holds stays held, and it is asked after", **told
        )
    waiting = [name for name, one in orders.items() if not one.done]
    if waiting:
        return case.say(Code.SENT, f"{' '.join(waiting)} sent, and not done", **told)
    for name, one in orders.items():
        if one is OrderStatus.REJECTED:
            code, reason = case.why_off(name)
            return case.say(code, f"{name} was not taken: {reason}", **told, reason=reason)
    if any(one is OrderStatus.CANCELED for one in orders.values()):
        return case.say(Code.CANCELED, "off the book before all of it was filled", **told)
    return case.say(Code.DONE, f"{' '.join(orders)} filled" if orders else "done", **told)


def _filled(case: Case, orders: Iterable[str]) -> str | None:
    """How much of its orders was filled, where they are of one instrument."""
    market = case.desk.books.instruments.get(case.traces.get("market", ""))
    if market is None:
        return None
    return str(Amount(sum(case.desk.filled(name) for name in orders), market.base))


def _cancels_stand(case: Case) -> Answer:
    """By the cancels that it led to."""
    pending = case.pending("canceled")
    status = _statuses(case)
    if pending:
        return case.say(Code.SENT, f"cancels are sent, and {' '.join(pending)} may still fill", status=status, pending=" ".join(pending))
    return case.say(Code.DONE, "done", status=status)


def _cancel_stands(case: Case) -> Answer:
    one = cast(Cancel, case.instruction)
    status = case.desk.status_of(one.order)
    told = {"status": status, "filled": _filled(case, [one.order])}
    if not status.done:
        return case.say(Code.SENT, f"the cancel is sent, and {one.order} may still fill", **told)
    if status is OrderStatus.FILLED:
        return case.say(Code.NOTHING, f"{one.order} was filled before its cancel", **told)
    return case.say(Code.DONE, f"{one.order} is off the book", **told)


def _statuses(case: Case) -> str | None:
    one = case.instruction
    name = getattr(one, "target", None) or getattr(one, "sleeve", None)
    return None if name is None else str(case.target(name).status)


def _transfer_stands(case: Case) -> Answer:
    """By what the venue said of the transfer: sent, confirmed, refused, or unknown."""
    name, told = case.traces.get("transfer", ""), case.told
    if not name:
        return case.say(Code.NOTHING, "nothing of it was asked for")
    known = told.transfers.get(name) or _told_before(case, name)
    if known is not None:
        code, text = known
        if code is Code.CONFIRMED:
            return case.say(code, f"{name} is through: {text}", status="confirmed")
        if name in case.heard:
            code, text = case.heard[name]
            code = Code.REFUSED if code is Code.REJECTED else code
        return case.say(code, f"{name} was not done: {text}", status="refused", reason=text)
    if name in told.sent and name not in told.lost:
        return case.say(Code.SENT, f"{name} is sent: the venue has not said that it is through", status="sent")
    return case.say(
        Code.UNKNOWN, f"whether {name} was done is not known: its coins stay on their way, and it is asked after", status="unknown"
    )


def _told_before(case: Case, name: str) -> tuple[Code, str] | None:
    """What became of a transfer before the desk was opened again; None while it is under way."""
    if name in case.desk.transfers:
        return None
    asked = case.desk.books.journal.find(f"transfer|{name}")
    if not isinstance(asked, Asked):
        return None
    code = asked.transfer.amount.asset.code
    for venue in dict.fromkeys([asked.transfer.venue, *case.venues, ""]):
        fact = case.desk.books.fact(fact_key(venue, "transferred", code, name))
        if isinstance(fact, Transferred):
            return Code.CONFIRMED, str(fact.amount)
    return Code.REFUSED, "it was refused, or given up"


def _settle_stands(case: Case) -> Answer:
    one = cast(Settle, case.instruction)
    if one.id in case.told.settled:
        return case.say(Code.CONFIRMED, f"{one.market} is settled", settled=case.told.settled[one.id])
    if one.market in case.heard:
        code, reason = case.heard[one.market]
        return case.say(code, f"{one.market} is not settled: {reason}", reason=reason)
    return case.say(Code.SENT, f"the venue is asked to settle {one.market}")


def _kill_stands(case: Case) -> Answer:
    """Halted; then by what is still open and still held. Nothing is called closed that is not."""
    one = cast(Kill, case.instruction)
    open_now, left = _open_and_left(case, one.target)
    told = {"status": case.target(one.target).status, "open": " ".join(open_now) or None, "left": left or None}
    if open_now:
        return case.say(
            Code.UNDER_WAY, f"halted; orders are not off yet: {' '.join(open_now)}" + (f"; held: {left}" if left else ""), **told
        )
    if left and one.flatten:
        if case.desk.recovering:
            return case.say(Code.UNDER_WAY, f"halted; once the desk is recovered it closes {left}", **told)
        return case.say(Code.RESIDUAL, f"halted; nothing is under way that would close {left}", **told, residual=left)
    if left:
        return case.say(Code.DONE, f"halted; positions stay as they are: {left}", **told)
    return case.say(Code.DONE, "halted and flat", **told)


def _close_all_stands(case: Case) -> Answer:
    one = cast(CloseAll, case.instruction)
    waiting = [*case.pending("canceled"), *case.pending("orders")]
    _, left = _open_and_left(case, one.target)
    told = {"pending": " ".join(waiting) or None, "left": left or None}
    if waiting:
        return case.say(Code.UNDER_WAY, f"sent, and not through: {' '.join(waiting)}" + (f"; held: {left}" if left else ""), **told)
    if left:
        return case.say(Code.RESIDUAL, f"nothing of this is under way any more that would close {left}", **told, residual=left)
    return case.say(Code.DONE, "flat", **told)


def _open_and_left(case: Case, target: str) -> tuple[list[str], str]:
    """The open orders of a target's sleeves, and what they hold."""
    sleeves = {sleeve.name: sleeve for sleeve in case.sleeves(target)}
    open_now = [order.id for order in case.desk.open_orders() if order.sleeve in sleeves]
    left = [f"{name} {amount} of {market}" for name, sleeve in sleeves.items() for market, amount in sleeve.positions().items()]
    return open_now, ", ".join(left)


_STANDS: Mapping[type[Instruction], Callable[[Case], Answer]] = {
    Stop: _cancels_stand,
    Pause: _cancels_stand,
    Disarm: _cancels_stand,
    Deposit: _transfer_stands,
    Withdraw: _transfer_stands,
    Open: _orders_stand,
    Close: _orders_stand,
    Confirm: _orders_stand,
    Rebalance: _orders_stand,
    Cancel: _cancel_stands,
    CloseAll: _close_all_stands,
    Settle: _settle_stands,
    Kill: _kill_stands,
}
"""What more may become of after it is carried out. The others are done when they are answered."""
