"""Exits that are held up: a venue that is not reached, an order whose fate is not known, another sleeve's cancel that hangs."""

from __future__ import annotations

import anyio
import pytest

from helpers import BTCUSD, Puppet, fill
from live_stand import stand
from sleeves import QUIET, USD, CoreVault, Desk, Side
from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.live import carry
from sleeves.market import SECOND
from sleeves.orders import Canceled, CancelOrder, OrderReport, OrderStatus, Rejected, SubmitOrder, Unanswered
from sleeves.pulse import Pulse
from sleeves.records import Alert
from sleeves.seat import NEVER


def told(desk, *codes):
    return [(one.level.value, one.code) for one in desk.books.journal if isinstance(one, Alert) and one.code in codes]


class House:
    """One sleeve that bought 0.1 BTC."""

    def __init__(self):
        self.vault = CoreVault(USD, total="20000", tradeable="15000")
        self.sleeve = self.vault.sleeve("a", QUIET, allocate="10000")
        self.desk = Desk(self.vault)
        self.puppet = Puppet()
        self.puppet.sit(self.desk, self.sleeve)
        self.fill(self.puppet.buy("0.1", "10000"))

    def fill(self, command, **terms):
        return self.desk.step(fill(command.order, price="10000", fee=USD.zero, **terms))

    def kill(self, flatten=True):
        return list(self.desk.kill(self.sleeve, flatten=flatten, by="ann"))

    def not_reached(self, command):
        return list(self.desk.step(Rejected(command.order.id, self.desk.books.now, "no route", reached=False)))

    def wait(self, seconds):
        return list(self.puppet.quote("9000", after=seconds * SECOND))


def test_what_was_not_reached_is_ordered_again_until_it_is_flat():
    h = House()
    (sale,) = h.kill()
    for n in range(12):  # more often than a flattening has tries
        assert h.not_reached(sale) == [], "not in the same instant"
        assert h.wait(9) == [], "not before its time"
        again = h.wait(1)
        assert [type(one) for one in again] == [SubmitOrder], n
        (sale,) = again
        assert sale.order.place.reduce_only and sale.order.place.qty == BTCUSD.qty("0.1")
    assert told(h.desk, "flatten_waits", "residual") == [("warning", "flatten_waits")]
    h.fill(sale)
    assert h.sleeve.is_flat() and h.wait(100) == []
    assert h.desk._stops.again_at == NEVER


def test_what_the_venue_refused_is_not_ordered_again():
    h = House()
    (sale,) = h.kill()
    assert list(h.desk.step(Rejected(sale.order.id, h.desk.books.now, "no liquidity"))) == []
    assert h.wait(10) == h.wait(600) == []
    assert ("critical", "residual") in told(h.desk, "residual")
    assert not told(h.desk, "flatten_waits")


def test_a_revived_sleeve_is_not_closed_after_all():
    h = House()
    (sale,) = h.kill()
    h.not_reached(sale)
    h.desk.revive(h.sleeve, by="ann", why="it is back")
    assert h.wait(10) == h.wait(10) == []
    assert not h.sleeve.is_flat()


@pytest.mark.parametrize("reached", [None, 1, "no"])
def test_reached_is_yes_or_no(reached):
    with pytest.raises(InvalidMarket, match="reached"):
        Rejected("a-1", 1, "why", reached)


def test_a_buy_of_unknown_fate_does_not_hold_the_sale_up():
    h = House()
    buy = h.puppet.buy("0.01", "10000", limit=BTCUSD.price("9000"))
    h.desk.step(Unanswered(buy.order.id, h.desk.books.now, "timed out"))
    cancel, sale = h.kill()
    assert isinstance(cancel, CancelOrder) and cancel.order is buy.order
    assert sale.order.place.qty == BTCUSD.qty("0.1")
    h.fill(sale)
    assert not h.sleeve.positions()
    (rest,) = h.fill(buy)  # it was there, and traded
    assert rest.order.place.side is Side.SELL and rest.order.place.qty == BTCUSD.qty("0.01")


def test_what_a_sale_of_unknown_fate_holds_stays_until_that_is_known():
    h = House()
    sell = h.puppet.sell("0.04", "10000", limit=BTCUSD.price("11000"))
    h.desk.step(Unanswered(sell.order.id, h.desk.books.now, "timed out"))
    _, sale = h.kill()
    assert sale.order.place.qty == BTCUSD.qty("0.06")
    (text,) = [one.text for one in h.desk.books.journal if isinstance(one, Alert) and one.code == "residual"]
    assert sell.order.id in text and text.startswith("0.04")
    assert list(h.fill(sale)) == []
    (rest,) = h.desk.step(OrderReport(sell.order.id, h.desk.books.now, OrderStatus.CANCELED, 0, ""))
    assert rest.order.place.qty == BTCUSD.qty("0.04")
    h.fill(rest)
    assert h.sleeve.is_flat()


def test_a_cancel_whose_answer_is_lost_lets_the_rest_go():
    h = House()
    sell = h.puppet.sell("0.04", "10000", limit=BTCUSD.price("11000"))
    (cancel,) = h.kill()
    (sale,) = h.desk.step(Unanswered(cancel.order.id, h.desk.books.now, "timed out"))
    assert sale.order.place.qty == BTCUSD.qty("0.06")
    (again,) = h.desk.step(OrderReport(sell.order.id, h.desk.books.now, OrderStatus.OPEN, 0, ""))
    assert again == CancelOrder(sell.order), "it is there after all"


def test_a_kill_over_a_flattening_says_what_stays():
    h = House()
    (sale,) = h.kill()
    (cancel,) = h.kill(flatten=False)
    assert cancel.order is sale.order
    assert told(h.desk, "residual") == [("warning", "residual")]
    assert list(h.desk.step(Canceled(sale.order.id, h.desk.books.now))) == []
    assert not Pulse().snapshot(h.desk).ok, "killed and not flat is no health"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancel_that_hangs_holds_up_no_other_sleeve(backend):
    async def main():
        desk, pit, (p, q) = stand(names=("a", "b"))
        for puppet in (p, q):
            desk.step(fill(puppet.buy("0.1", "10000").order, price="10000", fee=USD.zero, trade=puppet.name))
        p.buy("0.01", "10000", limit=p.market.price("9000"))

        async def cancel(order):
            await anyio.sleep_forever()

        pit.cancel = cancel
        with anyio.move_on_after(0.05):
            await carry(desk, desk.kill(desk, flatten=True, by="ann"), pit)
        assert len(pit.sent) == 1
        assert pit.orders[pit.sent[0]].sleeve == "b"
        assert desk.status_of("a-2") is OrderStatus.UNKNOWN
        assert desk._stops.again_at != NEVER, "what stood behind it never left, and is ordered again"

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_refused_connection_does_not_end_a_flattening(backend):
    async def main():
        desk, pit, (p,) = stand()
        desk.step(fill(p.buy("0.1", "10000").order, price="10000", fee=USD.zero))
        submit, fails = pit.submit, [VenueUnavailable("connection refused")]

        async def flaky(order):
            if fails:
                raise fails.pop()
            await submit(order)

        pit.submit = flaky
        await carry(desk, desk.kill(desk, flatten=True, by="ann"), pit)
        assert not pit.sent
        await carry(desk, p.quote("9000", after=10 * SECOND), pit)
        assert len(pit.sent) == 1

    anyio.run(main, backend=backend)
