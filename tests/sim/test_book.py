"""The order book: the same as a naive model that sorts a list each time, and laws that hold after every operation."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket
from sleeves.orders import Side, TimeInForce
from sleeves.sim.book import OrderBook, Removed, SelfMatch, Trade, Why
from strategies import law

BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce


# -- the naive model ---------------------------------------------------------------------------------------------------------


class Naive:
    """A book as a list that is sorted anew for each trade. Fill or kill is tried out on a copy."""

    def __init__(self, mode: SelfMatch) -> None:
        self.mode, self.orders, self.held, self.count = mode, [], {}, 0

    def room(self, order: dict[str, Any]) -> int:
        return max(0, self.held.get(order["owner"], 0) * (-1 if order["buy"] else 1)) if order["reduce_only"] else 10**9

    def advance(self, now):
        due = sorted((o for o in self.orders if o["good_til"] and o["good_til"] <= now), key=lambda o: (o["good_til"], o["came"]))
        self.orders = [o for o in self.orders if o not in due]
        return [Removed(o["good_til"], o["id"], o["left"], Why.EXPIRED) for o in due]

    def place(self, id_, owner, side, qty, *, now, limit=None, worst=None, tif=GTC, post_only=False, reduce_only=False, good_til=None):
        out = self.advance(now)
        self.count += 1
        order = {"id": id_, "owner": owner, "buy": side is BUY, "left": qty, "limit": limit, "seq": self.count, "came": self.count}
        order |= {"post_only": post_only, "reduce_only": reduce_only, "good_til": good_til}
        if good_til and good_til <= now:
            return [*out, Removed(now, id_, qty, Why.EXPIRED)]
        if tif is FOK:
            tried = copy.deepcopy(self).come(dict(order), limit or worst, IOC, now)
            if sum(t.qty for t in tried if isinstance(t, Trade)) < qty:
                return [*out, Removed(now, id_, qty, Why.KILLED)]
        return out + self.come(order, limit or worst, tif, now)

    def come(self, order, bound, tif, now):
        out = []

        def off(one, why):
            out.append(Removed(now, one["id"], one["left"], why))
            self.orders = [o for o in self.orders if o is not one]

        if not self.room(order):
            off(order, Why.REDUCE_ONLY)
            return out
        sign = 1 if order["buy"] else -1
        while order["left"]:
            other = sorted((o for o in self.orders if o["buy"] is not order["buy"]), key=lambda o: (o["limit"] * sign, o["seq"]))
            if not other or (bound and other[0]["limit"] * sign > bound * sign):
                break
            maker = other[0]
            if order["post_only"]:
                off(order, Why.POST_ONLY)
                return out
            if maker["owner"] == order["owner"]:
                if self.mode is SelfMatch.DECREMENT:
                    qty = min(order["left"], maker["left"])
                    for one in (maker, order):
                        one["left"] -= qty
                        out.append(Removed(now, one["id"], qty, Why.SELF, one["left"]))
                    self.orders = [o for o in self.orders if o["left"]]
                if self.mode in (SelfMatch.CANCEL_OLDEST, SelfMatch.CANCEL_BOTH):
                    off(maker, Why.SELF)
                if self.mode in (SelfMatch.CANCEL_NEWEST, SelfMatch.CANCEL_BOTH):
                    off(order, Why.SELF)
                    return out
                continue
            if not self.room(maker):
                off(maker, Why.REDUCE_ONLY)
                continue
            if not self.room(order):
                break
            qty = min(order["left"], maker["left"], self.room(order), self.room(maker))
            out.append(Trade(now, maker["limit"], qty, maker["id"], order["id"], BUY if order["buy"] else SELL))
            for one, way in ((order, sign), (maker, -sign)):
                one["left"] -= qty
                if one["owner"] in self.held:
                    self.held[one["owner"]] += way * qty
            self.orders = [o for o in self.orders if o["left"]]
        if order["left"]:
            if not self.room(order):
                off(order, Why.REDUCE_ONLY)
            elif tif is IOC:
                off(order, Why.IMMEDIATE)
            elif order["limit"] is None:
                off(order, Why.BEYOND if any(o["buy"] is not order["buy"] for o in self.orders) else Why.EMPTY)
            else:
                self.orders.append(order)
        return out

    def cancel(self, id_, *, now):
        out = self.advance(now)
        gone = [o for o in self.orders if o["id"] == id_]
        self.orders = [o for o in self.orders if o not in gone]
        return out + [Removed(now, id_, o["left"], Why.REQUESTED) for o in gone]

    def replace(self, id_, *, now, qty=None, limit=None):
        out = self.advance(now)
        for order in [o for o in self.orders if o["id"] == id_]:
            qty, limit = qty or order["left"], limit or order["limit"]
            if qty < order["left"]:
                out.append(Removed(now, id_, order["left"] - qty, Why.REQUESTED, qty))
            stays = limit == order["limit"] and qty <= order["left"]
            order["left"], order["limit"] = qty, limit
            if not stays:
                self.count += 1
                order["seq"] = self.count
                self.orders = [o for o in self.orders if o is not order]
                out += self.come(order, limit, GTC, now)
        return out

    def depth(self):
        sides = ({}, {})
        for order in self.orders:
            side = sides[0 if order["buy"] else 1]
            side[order["limit"]] = side.get(order["limit"], 0) + order["left"]
        return sorted(sides[0].items(), reverse=True), sorted(sides[1].items())

    def ahead(self, id_):
        me = next((o for o in self.orders if o["id"] == id_), None)
        if me is None:
            return None
        return sum(o["left"] for o in self.orders if (o["buy"], o["limit"]) == (me["buy"], me["limit"]) and o["seq"] < me["seq"])


# -- operations --------------------------------------------------------------------------------------------------------------

prices = st.integers(98, 103)
sizes = st.integers(1, 9)
owners = st.sampled_from(["ann", "bob", "cy"])
sides = st.sampled_from(Side)


@st.composite
def places(draw):
    kind = draw(st.sampled_from(["limit"] * 6 + ["post", "ioc", "fok", "fok", "market", "worst", "market fok", "til", "til"]))
    terms: dict[str, Any] = {"reduce_only": draw(st.sampled_from([False] * 4 + [True]))}
    if kind.startswith("market"):
        terms["tif"] = FOK if kind == "market fok" else draw(st.sampled_from([GTC, IOC]))
    elif kind == "worst":
        terms["worst"] = draw(prices)
    else:
        terms["limit"] = draw(prices)
        terms["tif"] = {"ioc": IOC, "fok": FOK}.get(kind, GTC)
        terms["post_only"] = kind == "post"
        if kind == "til":
            terms["good_til"] = draw(st.integers(1, 30))
    return "place", draw(owners), draw(sides), draw(sizes), terms


cancels = st.tuples(st.just("cancel"), st.integers(0, 60))
replaces = st.tuples(st.just("replace"), st.integers(0, 60), st.none() | sizes, st.none() | prices)
advances = st.tuples(st.just("advance"))
holds = st.tuples(st.just("hold"), owners, st.integers(-12, 12))
one_step = st.one_of(places(), places(), places(), places(), places(), cancels, replaces, advances, holds)


@st.composite
def plans(draw):
    """Fifteen to forty steps, each with how much later it comes. What is canceled or replaced is an order of before."""
    plan = draw(st.lists(st.tuples(st.integers(0, 2), one_step), min_size=15, max_size=40))
    placed: list[int] = []
    for number, (later, step) in enumerate(plan):
        if step[0] == "place":
            placed.append(number)
        elif step[0] in ("cancel", "replace") and placed:
            plan[number] = (later, (step[0], placed[step[1] % len(placed)], *step[2:]))
    return plan


def done(book, number, now, step):
    """One step on a book or on the naive model, and what it brought."""
    what, *rest = step
    if what == "place":
        owner, side, qty, terms = rest
        return book.place(f"o{number}", owner, side, qty, now=now, **terms)
    if what == "cancel":
        return book.cancel(f"o{rest[0]}", now=now)
    if what == "replace":
        return book.replace(f"o{rest[0]}", now=now, qty=rest[1], limit=rest[2])
    if what == "advance":
        return book.advance(now)
    book.held[rest[0]] = rest[1]
    return []


@law
@given(mode=st.sampled_from(SelfMatch), plan=plans())
def test_it_does_what_a_list_that_is_sorted_each_time_does(mode: SelfMatch, plan: list[Any]) -> None:
    book, naive, now = OrderBook(self_match=mode), Naive(mode), 0
    for number, (later, step) in enumerate(plan):
        now += later
        assert done(book, number, now, step) == done(naive, number, now, step), step
        assert book.depth() == naive.depth()
        for known in range(number + 1):
            assert book.ahead(f"o{known}") == naive.ahead(f"o{known}")
            assert book.left(f"o{known}") == sum(o["left"] for o in naive.orders if o["id"] == f"o{known}")


@law
@given(mode=st.sampled_from(SelfMatch), plan=plans())
def test_its_laws_hold_after_every_operation(mode: SelfMatch, plan: list[Any]) -> None:
    """Never crossed; every unit is traded, taken off or stands; post-only never takes, FOK is whole or nothing, owners never meet."""
    book, now = OrderBook(self_match=mode), 0
    owner: dict[str, str] = {}
    terms: dict[str, dict[str, Any]] = {}
    placed: dict[str, int] = {}
    gone: dict[str, int] = {}
    for number, (later, step) in enumerate(plan):
        now += later
        if step[0] == "place":
            owner[f"o{number}"], placed[f"o{number}"], terms[f"o{number}"] = step[1], step[3], step[4]
        before = book.left(f"o{step[1]}") if step[0] == "replace" else 0
        results = done(book, number, now, step)
        if (
            step[0] == "replace"
            and before
            and not any(isinstance(r, Removed) and r.why is Why.EXPIRED and r.order == f"o{step[1]}" for r in results)
        ):
            placed[f"o{step[1]}"] += max(0, (step[2] or before) - before)
        traded = 0
        for result in results:
            assert result.qty > 0
            if isinstance(result, Removed):
                gone[result.order] = gone.get(result.order, 0) + result.qty
                if result.why is Why.EXPIRED:
                    assert result.at == min(now, terms[result.order]["good_til"]) or result.at == now >= terms[result.order]["good_til"]
                continue
            assert result.at == now
            assert owner[result.maker] != owner[result.taker]
            assert not terms[result.taker].get("post_only")
            assert terms[result.maker].get("limit") is not None
            for one in (result.maker, result.taker):
                assert (terms[one].get("good_til") or now + 1) > now
                gone[one] = gone.get(one, 0) + result.qty
            traded += result.qty
        if step[0] == "place" and step[4].get("tif") is FOK:
            assert traded in (0, step[3])
            assert traded or len([r for r in results if r.at == now and r.order == f"o{number}"]) == 1
        if book.best_bid is not None and book.best_ask is not None:
            assert book.best_bid < book.best_ask
        for one in placed:
            assert gone.get(one, 0) + book.left(one) == placed[one], one
            if book.left(one):
                assert (terms[one].get("good_til") or book.now + 1) > book.now


@law
@given(st.lists(st.tuples(prices, sizes), min_size=1, max_size=20), sizes.map(lambda n: n * 8))
def test_the_better_price_first_and_at_one_price_who_came_first(makers: list[tuple[int, int]], qty: int) -> None:
    book = OrderBook()
    for number, (price, size) in enumerate(makers):
        book.place(number, "maker", SELL, size, now=0, limit=price)
    trades = [one for one in book.place(99, "taker", BUY, qty, now=1) if isinstance(one, Trade)]
    queue = sorted(range(len(makers)), key=lambda n: (makers[n][0], n))
    assert [one.maker for one in trades] == queue[: len(trades)]
    assert [one.price for one in trades] == [makers[n][0] for n in queue[: len(trades)]]
    assert sum(one.qty for one in trades) == min(qty, sum(size for _, size in makers))


# -- tables ------------------------------------------------------------------------------------------------------------------


def book_of(*asks: tuple[str, str, int, int], mode: SelfMatch = SelfMatch.CANCEL_NEWEST) -> OrderBook:
    """Asks as (id, owner, size, price)."""
    book = OrderBook(self_match=mode)
    for name, owner, size, price in asks:
        assert book.place(name, owner, SELL, size, now=0, limit=price) == []
    return book


ASKS = (("a", "ann", 3, 100), ("b", "bob", 4, 100), ("c", "ann", 5, 101))


def test_an_order_at_market_walks_the_book_and_its_rest_is_off() -> None:
    assert book_of(*ASKS).place("t", "tom", BUY, 14, now=1) == [
        Trade(1, 100, 3, "a", "t", BUY),
        Trade(1, 100, 4, "b", "t", BUY),
        Trade(1, 101, 5, "c", "t", BUY),
        Removed(1, "t", 2, Why.EMPTY),
    ]


@pytest.mark.parametrize(("qty", "trades"), [(7, [3, 4]), (8, [])])
def test_fill_or_kill_is_whole_or_nothing_at_all(qty: int, trades: list[int]) -> None:
    book = book_of(*ASKS)
    results = book.place("t", "tom", BUY, qty, now=1, limit=100, tif=FOK)
    assert [one.qty for one in results if isinstance(one, Trade)] == trades
    if not trades:
        assert results == [Removed(1, "t", qty, Why.KILLED)]
        assert book.depth() == ([], [(100, 7), (101, 5)])


KILLS_AMONG_ITS_OWN = {SelfMatch.CANCEL_NEWEST: 0, SelfMatch.CANCEL_OLDEST: 4, SelfMatch.CANCEL_BOTH: 0, SelfMatch.DECREMENT: 0}


@pytest.mark.parametrize("mode", SelfMatch)
def test_fill_or_kill_counts_what_it_could_trade_and_not_what_its_owner_has_resting(mode: SelfMatch) -> None:
    """Ann wants 4 and rests before Bob, who has them: only where her own makes way. 5 are nowhere to be had."""
    for qty in (4, 5):
        book = book_of(*ASKS, mode=mode)
        results = book.place("t", "ann", BUY, qty, now=1, limit=100, tif=FOK)
        traded = sum(one.qty for one in results if isinstance(one, Trade))
        assert traded == (KILLS_AMONG_ITS_OWN[mode] if qty == 4 else 0)
        assert traded or (results, book.depth()[1]) == ([Removed(1, "t", qty, Why.KILLED)], [(100, 7), (101, 5)])


@pytest.mark.parametrize(("limit", "off"), [(99, False), (100, True), (101, True)])
def test_post_only_never_takes(limit: int, off: bool) -> None:
    book = book_of(*ASKS)
    assert book.place("p", "pat", BUY, 2, now=1, limit=limit, post_only=True) == ([Removed(1, "p", 2, Why.POST_ONLY)] if off else [])
    assert book.left("p") == (0 if off else 2)


@pytest.mark.parametrize(("now", "result"), [(49, [Trade(49, 100, 1, "e", "t", BUY)]), (50, [Removed(50, "e", 3, Why.EXPIRED)])])
def test_an_order_is_off_at_its_instant_and_not_a_nanosecond_before(now: int, result: list[Any]) -> None:
    book = OrderBook()
    book.place("e", "eve", SELL, 3, now=0, limit=100, good_til=50)
    assert book.place("t", "tom", BUY, 1, now=now, limit=100, tif=IOC)[: len(result)] == result


def test_orders_that_end_go_off_in_the_order_of_their_times_each_at_its_own() -> None:
    book = OrderBook()
    for name, end in (("x", 9), ("y", 4), ("z", 9)):
        book.place(name, "eve", SELL, 1, now=0, limit=100, good_til=end)
    assert book.next_end == 4
    assert book.advance(20) == [Removed(4, "y", 1, Why.EXPIRED), Removed(9, "x", 1, Why.EXPIRED), Removed(9, "z", 1, Why.EXPIRED)]


SELVES = {
    SelfMatch.CANCEL_NEWEST: ([Removed(1, "t", 5, Why.SELF)], [(100, 7), (101, 5)]),
    SelfMatch.CANCEL_OLDEST: (
        [Removed(1, "a", 3, Why.SELF), Trade(1, 100, 4, "b", "t", BUY), Removed(1, "c", 5, Why.SELF)],
        [],
    ),
    SelfMatch.CANCEL_BOTH: ([Removed(1, "a", 3, Why.SELF), Removed(1, "t", 5, Why.SELF)], [(100, 4), (101, 5)]),
    SelfMatch.DECREMENT: (
        [Removed(1, "a", 3, Why.SELF), Removed(1, "t", 3, Why.SELF, 2), Trade(1, 100, 2, "b", "t", BUY)],
        [(100, 2), (101, 5)],
    ),
}


@pytest.mark.parametrize("mode", SelfMatch)
def test_an_owner_never_trades_with_itself(mode: SelfMatch) -> None:
    book = book_of(*ASKS, mode=mode)
    results, asks = SELVES[mode]
    assert book.place("t", "ann", BUY, 5, now=1, limit=101) == results
    assert book.depth()[1] == asks


def test_a_smaller_size_keeps_its_place_and_everything_else_goes_to_the_back() -> None:
    book = book_of(*ASKS)
    assert book.replace("a", now=1, qty=2) == [Removed(1, "a", 1, Why.REQUESTED, 2)]
    assert (book.ahead("a"), book.ahead("b")) == (0, 2)
    assert book.replace("a", now=1, qty=2) == []
    assert (book.ahead("a"), book.ahead("b")) == (0, 2)
    assert book.replace("a", now=2, qty=3) == []
    assert (book.ahead("a"), book.ahead("b")) == (4, 0)
    assert book.replace("b", now=3, limit=101) == []
    assert (book.ahead("b"), book.ahead("c")) == (5, 0)
    assert book.depth() == ([], [(100, 3), (101, 9)])


def test_a_replacement_that_reaches_the_other_side_takes_unless_it_is_post_only() -> None:
    for post_only, expected in ((False, [Trade(2, 100, 2, "a", "p", BUY)]), (True, [Removed(2, "p", 2, Why.POST_ONLY)])):
        book = book_of(*ASKS)
        book.place("p", "pat", BUY, 2, now=1, limit=99, post_only=post_only)
        assert book.replace("p", now=2, limit=100) == expected


def test_what_is_not_on_the_book_is_passed_over() -> None:
    book = book_of(*ASKS)
    assert book.cancel("nobody", now=1) == book.replace("nobody", now=1, qty=1) == []
    assert book.ahead("nobody") is None


REDUCES = {
    "a taker, to what it is short": (
        -4,
        "t",
        [Trade(1, 100, 3, "a", "t", BUY), Trade(1, 100, 1, "b", "t", BUY), Removed(1, "t", 5, Why.REDUCE_ONLY)],
    ),
    "all it was short, and nobody else is there": (
        -7,
        "t",
        [Trade(1, 100, 3, "a", "t", BUY), Trade(1, 100, 4, "b", "t", BUY), Removed(1, "t", 2, Why.REDUCE_ONLY)],
    ),
    "nothing to reduce": (0, "t", [Removed(1, "t", 9, Why.REDUCE_ONLY)]),
    "a long is not reduced by a buy": (5, "t", [Removed(1, "t", 9, Why.REDUCE_ONLY)]),
}


@pytest.mark.parametrize(("held", "name", "results"), REDUCES.values(), ids=REDUCES)
def test_a_reduce_only_order_trades_at_most_what_is_held_against_it(held: int, name: str, results: list[Any]) -> None:
    book = book_of(*ASKS)
    book.hold("tom", held)
    assert book.place(name, "tom", BUY, 9, now=1, limit=100, reduce_only=True) == results


def test_reduce_only_orders_that_rest_are_kept_within_what_their_owner_holds_in_one_sweep() -> None:
    """Long 10: a plain sale of 6, and two that only reduce, of 10 each. A buyer of 30 finds 10 and not 26."""
    book = OrderBook()
    book.hold("ann", 10)
    book.place("plain", "ann", SELL, 6, now=0, limit=100)
    book.place("first", "ann", SELL, 10, now=0, limit=101, reduce_only=True)
    book.place("second", "ann", SELL, 10, now=0, limit=102, reduce_only=True)
    assert book.place("t", "tom", BUY, 11, now=1, tif=FOK) == [Removed(1, "t", 11, Why.KILLED)]
    assert book.place("u", "tom", BUY, 30, now=1) == [
        Trade(1, 100, 6, "plain", "u", BUY),
        Trade(1, 101, 4, "first", "u", BUY),
        Removed(1, "first", 6, Why.REDUCE_ONLY),
        Removed(1, "second", 10, Why.REDUCE_ONLY),
        Removed(1, "u", 20, Why.EMPTY),
    ]
    assert book.held == {"ann": 0}


def test_numbers_rise_and_words_come_once() -> None:
    book = OrderBook()
    book.place(5, "ann", SELL, 1, now=0, limit=100)
    book.place("w", "ann", SELL, 1, now=0, limit=100)
    book.cancel("w", now=0)
    for used in (5, 4, -1, "w"):
        with pytest.raises(InvalidMarket, match="used before"):
            book.place(used, "ann", SELL, 1, now=0, limit=100)
    book.place(6, "ann", SELL, 1, now=0, limit=100)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no quantity": ({"qty": 0}, "quantity 0"),
    "a quantity below zero": ({"qty": -2}, "quantity -2"),
    "a truth value": ({"qty": True}, "quantity True"),
    "a float": ({"qty": float("nan")}, "quantity nan"),
    "off the lot": ({"qty": 3}, "multiple of the lot 2"),
    "off the tick": ({"limit": 101}, "multiple of the tick 5"),
    "infinity": ({"limit": float("inf")}, "limit inf"),
    "a price below zero": ({"limit": -5}, "limit -5"),
    "a worst price of a limit": ({"worst": 100}, "for orders at market"),
    "no owner": ({"owner": ""}, "need an owner"),
    "a side as text": ({"side": "buy"}, "need an owner, a Side"),
    "a tif as text": ({"tif": "gtc"}, "and a TimeInForce"),
    "post only at once": ({"tif": IOC, "post_only": True}, "for a limit order that rests"),
    "good til at market": ({"limit": None, "good_til": 5}, "for a limit order that rests"),
    "good til zero": ({"good_til": 0}, "good_til 0"),
    "an id that is none": ({"order": None}, "order id None"),
    "an empty id": ({"order": ""}, "order id ''"),
    "a truth value as id": ({"order": True}, "order id True"),
    "a flag that is none": ({"reduce_only": 1}, "must be True or False"),
    "a time before": ({"now": 6}, "not before 7"),
    "a time that is none": ({"now": 7.0}, "whole nanoseconds"),
}


@pytest.mark.parametrize(("terms", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_named_and_nothing_is_done(terms: dict[str, Any], said: str) -> None:
    book = OrderBook(tick=5, lot=2)
    book.place("a", "ann", SELL, 4, now=7, limit=100, good_til=20)
    given = {"order": "x", "owner": "bob", "side": BUY, "qty": 2, "now": 30, "limit": 100} | terms
    with pytest.raises(InvalidMarket, match=said):
        book.place(given.pop("order"), given.pop("owner"), given.pop("side"), given.pop("qty"), **given)
    assert (book.depth(), book.now) == (([], [(100, 4)]), 7)


def test_misuse_of_the_rest_is_named() -> None:
    for terms in ({"tick": 0}, {"lot": True}, {"tick": 0.5}):
        with pytest.raises(InvalidMarket, match="positive whole number"):
            OrderBook(**terms)
    with pytest.raises(InvalidMarket, match="cancel newest, cancel oldest"):
        OrderBook(self_match="cancel newest")  # type: ignore[arg-type]
    book = OrderBook(tick=5, lot=2)
    book.place("a", "ann", SELL, 4, now=7, limit=100)
    for terms, said in (({"qty": 3}, "lot 2"), ({"qty": 0}, "quantity 0"), ({"limit": 101}, "tick 5"), ({"limit": True}, "price True")):
        with pytest.raises(InvalidMarket, match=said):
            book.replace("a", now=8, **terms)
    for call in (lambda: book.advance(6), lambda: book.cancel("a", now=6), lambda: book.replace("a", now=6)):
        with pytest.raises(InvalidMarket, match="not before 7"):
            call()
    with pytest.raises(InvalidMarket, match="need a word and whole units"):
        book.hold("ann", 1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidMarket, match="depth of -1"):
        book.depth(-1)
    assert book.depth(0) == ([], [])
    assert book.depth(1) == ([], [(100, 4)])
