"""News: what may be said, who is woken by it, what of it is shown, and that it moves no money."""

from __future__ import annotations

import math

import anyio
import pytest

from sleeves import QUIET, SOL, USDC, Asset, CoreVault, Desk, Instrument
from sleeves.amm import ConstantProduct
from sleeves.errors import BadTape, InvalidMarket
from sleeves.live import trade
from sleeves.market import HOUR, SECOND, FundingRate, Kind, Quote
from sleeves.news import FairValue, PoolState, Reading
from sleeves.sim import Rules, Tape, VirtualDriver, account_of, replay

LST = Asset("jitoSOL", 9)
SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
OTHER = Instrument("SOL-B/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
TOKEN = Instrument("jitoSOL/SOL", base=LST, quote=SOL, tick="0.000001", lot="0.001")


class Listener:
    """Writes down when it was asked, and what it was shown."""

    def __init__(self, *watches, every=0, name="listener"):
        self.watches, self.every, self.name = watches, every, name

    def begin(self):
        return []

    def decide(self, memory, view):
        rate, fair = view.news(FundingRate, "SOL-PERP"), view.news(FairValue, "jitoSOL")
        pool, mood = view.news(PoolState, view.book.instrument.symbol), view.news(Reading, "mood")
        memory.append((view.now, view.book.instrument.symbol, rate, fair, pool, mood, view.book.volume))
        return


def desk_with(*engines):
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    for n, engine in enumerate(engines):
        desk.assign(engine, to=vault.sleeve(f"s{n}", QUIET, allocate="100"))
    return desk, [seat.memory for seat in desk._seats.values()]


def rate_of(at, rate="0.01%"):
    return FundingRate.of(PERP, rate, price="150", at=at)


# -- what may be said ------------------------------------------------------------------------------------------------------


def test_a_fair_value_is_exact_and_comes_from_the_pool():
    fair = FairValue.of_pool(SOL("1072.5"), LST("1000"), at=5)
    assert (fair.worth, fair.units, fair.topic, fair.source) == (SOL("1072.5").units, LST("1000").units, "jitoSOL", "stake pool")
    assert TOKEN.price_text(fair.price(TOKEN)) == "1.0725"
    third = FairValue(LST, SOL, 5, worth=10, units=3)
    assert TOKEN.price_text(third.price(TOKEN)) == "3.333333"
    with pytest.raises(InvalidMarket, match="is no price of SOL/USDC"):
        fair.price(SPOT)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FairValue(LST, LST, 0, 1, 1),
        lambda: FairValue("jitoSOL", SOL, 0, 1, 1),
        lambda: FairValue(LST, SOL, 0.5, 1, 1),
        lambda: FairValue(LST, SOL, 0, 0, 1),
        lambda: FairValue(LST, SOL, 0, 1, -1),
        lambda: FairValue(LST, SOL, 0, 1.5, 1),
        lambda: FairValue(LST, SOL, 0, True, 1),
        lambda: FairValue(LST, SOL, 0, 1, 1, None),
        lambda: FairValue.of_pool("1072", LST("1"), at=0),
        lambda: Reading("", 0, 1.0),
        lambda: Reading("mood", 0, math.nan),
        lambda: Reading("mood", 0, math.inf),
        lambda: Reading("mood", 0, "50"),
        lambda: Reading("mood", 0, True),
        lambda: Reading("mood", 1.5, 1.0),
        lambda: PoolState("SOL/USDC", 0, ConstantProduct(1, 1, 0)),
        lambda: PoolState(SPOT, None, ConstantProduct(1, 1, 0)),
        lambda: PoolState(SPOT, 0, "pool"),
        lambda: Quote(SPOT, 0, 1, 1, -2),
        lambda: Quote(SPOT, 0, 1, 1, 1.5),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(InvalidMarket):
        make()


# -- who is woken, and what is shown ---------------------------------------------------------------------------------------


def test_news_wakes_who_watches_it_whatever_every_says():
    desk, (perp, spot) = desk_with(Listener(SPOT, PERP, every=HOUR), Listener(SPOT))
    desk.step(Quote(SPOT, SECOND, 15_000, 15_000))
    assert len(perp) == len(spot) == 1
    rate = rate_of(2 * SECOND)
    desk.step(rate)
    assert perp[-1][:3] == (2 * SECOND, "SOL/USDC", rate)
    assert len(spot) == 1
    desk.step(Reading("mood", 3 * SECOND, 70))
    assert perp[-1][5] == spot[-1][5] == Reading("mood", 3 * SECOND, 70)


def test_nobody_is_asked_before_any_price():
    desk, (heard,) = desk_with(Listener(PERP))
    desk.step(rate_of(SECOND))
    assert heard == []
    desk.step(Quote(PERP, 2 * SECOND, 15_000, 15_000))
    assert heard[-1][2] == rate_of(SECOND)


def test_the_latest_is_shown_and_what_is_late_or_told_twice_wakes_nobody():
    desk, (heard,) = desk_with(Listener(SPOT, PERP))
    desk.step(Quote(PERP, SECOND, 15_000, 15_000))
    for rate in (rate_of(9 * SECOND), rate_of(9 * SECOND), rate_of(8 * SECOND, "0.5%")):
        desk.step(rate)
    assert len(heard) == 2
    assert heard[-1][2] == rate_of(9 * SECOND)


def test_a_fair_value_wakes_who_watches_its_coin():
    vault = CoreVault(SOL, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Listener(TOKEN), to=vault.sleeve("s", QUIET, allocate="100"))
    heard = desk._seats["s"].memory
    desk.step(Quote(TOKEN, SECOND, 1_000_000, 1_000_000))
    fair = FairValue.of_pool(SOL("1.07"), LST("1"), at=2 * SECOND)
    desk.step(fair)
    assert heard[-1][3] == fair
    desk.step(FairValue.of_pool(USDC("1.07"), SOL("1"), at=3 * SECOND))
    assert len(heard) == 2


def test_pools_are_shown_with_the_next_price():
    desk, (heard,) = desk_with(Listener(SPOT))
    desk.step(Quote(SPOT, SECOND, 15_000, 15_000))
    state = PoolState(SPOT, 2 * SECOND, ConstantProduct(10**12, 15 * 10**10, 3000))
    assert desk.step(state) == ()
    assert len(heard) == 1
    desk.step(Quote(SPOT, 3 * SECOND, 15_000, 15_000))
    assert heard[-1][4] == state


def test_an_engine_that_raises_at_news_is_stopped_and_the_others_hear_it():
    class Raises(Listener):
        def decide(self, memory, view):
            if view.news(Reading, "mood"):
                raise RuntimeError("no")

    desk, (_, heard) = desk_with(Raises(SPOT, name="raises"), Listener(SPOT))
    desk.step(Quote(SPOT, SECOND, 15_000, 15_000))
    desk.step(Reading("mood", 2 * SECOND, 1))
    assert [name for name, _ in desk.faults] == ["s0"]
    assert len(heard) == 2
    desk.step(Reading("mood", 3 * SECOND, 2))
    assert len(desk.faults) == 1


def test_news_is_never_journaled():
    desk, _ = desk_with(Listener(SPOT, PERP))
    desk.step(Quote(SPOT, SECOND, 15_000, 15_000))
    written = len(desk.books.journal)
    for news in (rate_of(2 * SECOND), Reading("mood", 2 * SECOND, 1), FairValue.of_pool(SOL("1.07"), LST("1"), at=2 * SECOND)):
        desk.step(news)
    assert len(desk.books.journal) == written


@pytest.mark.parametrize(("kind", "topic"), [("FundingRate", "SOL-PERP"), (FundingRate, PERP), (Quote, "SOL/USDC"), (Reading, None)])
def test_news_of_no_kind_or_topic_is_refused_and_not_taken_for_silence(kind, topic):
    desk, _ = desk_with(Listener(SPOT))
    with pytest.raises(InvalidMarket, match="news is of a kind"):
        desk._seats["s0"].view.news(kind, topic)


def test_a_report_says_that_rates_among_news_are_never_paid():
    desk, _ = desk_with(Listener(SPOT, PERP))
    report = replay(desk, [tape_of(SPOT, ["150", "151"]), tape_of(PERP, ["150", "151"]).with_news([rate_of(2 * HOUR)])], progress=False)
    assert any("1 funding rates of SOL-PERP are news, which is told and never paid" in note for note in report.notes())


# -- along a tape ----------------------------------------------------------------------------------------------------------


def tape_of(market, prices, volume="2"):
    n = len(prices)
    return Tape.from_columns(
        market, ts=[h * 3600 for h in range(1, n + 1)], open=prices, high=prices, low=prices, close=prices, volume=[volume] * n
    )


def runs(tapes, rules=None):
    """What the listener was shown through `replay`, and through the paper venue and `trade`: the same."""
    shown = []
    for way in ("replay", "paper"):
        desk, (heard,) = desk_with(Listener(*(tape.instrument for tape in tapes)))
        if way == "replay":
            replay(desk, tapes, rules=rules, progress=False, bounds=False)
        else:
            anyio.run(trade, desk, VirtualDriver(tapes, account_of(desk), rules))
        shown.append(heard)
    assert shown[0] == shown[1]
    return shown[0]


def test_a_tape_tells_its_news_at_its_instant():
    mood = [Reading("mood", 2 * HOUR + 60 * SECOND, 1.0), Reading("mood", 3 * HOUR, 2.0)]
    heard = runs([tape_of(SPOT, ["150", "151", "152"]).with_news(reversed(mood))])
    assert [(at, seen) for at, *_, seen, _ in heard if seen] == [
        (2 * HOUR + 60 * SECOND, mood[0]),
        (3 * HOUR, mood[0]),
        (3 * HOUR, mood[1]),
        (4 * HOUR, mood[1]),
    ]


def test_funding_is_known_when_it_is_paid_and_not_before():
    rates = [rate_of(2 * HOUR), rate_of(3 * HOUR, "0.02%")]
    heard = runs([tape_of(SPOT, ["150", "151", "152"]), tape_of(PERP, ["150", "151", "152"]).with_funding(rates)])
    for at, _, seen, *_ in heard:
        assert seen is None or seen.at <= at
    assert {(at, seen) for at, _, seen, *_ in heard if seen} >= {(2 * HOUR, rates[0]), (3 * HOUR, rates[1])}


def test_pools_are_told_at_the_end_of_each_row_before_any_price():
    """All pools whose rows end at one instant are known before the first price of that instant is shown."""
    pool = ConstantProduct(SOL("1000").units, USDC("150000").units, 3000)
    tapes = [tape_of(SPOT, ["150", "160"]), tape_of(OTHER, ["151", "161"])]
    heard = runs(tapes, {market.symbol: Rules(pool=pool) for market in (SPOT, OTHER)})
    assert [(at, symbol, state.at, state.instrument.symbol) for at, symbol, _, _, state, *_ in heard] == [
        (h * HOUR, market.symbol, h * HOUR, market.symbol) for h in (2, 3) for market in (SPOT, OTHER)
    ]
    assert {round(float(state.pool.price()) * 1000) for *_, state, _, _ in heard} == {150, 160, 151, 161}


@pytest.mark.parametrize("known", [True, False])
def test_the_volume_of_a_row_is_shown_with_its_price(known):
    tape = tape_of(SPOT, ["150", "151"])
    if not known:
        columns = {name: ["150", "151"] for name in ("open", "high", "low", "close")}
        tape = Tape.from_columns(SPOT, ts=[3600, 7200], **columns)
    for tapes in ([tape], [tape, tape_of(OTHER, ["150", "151"])]):
        volumes = {volume for _, symbol, *_, volume in runs(tapes) if symbol == "SOL/USDC"}
        assert volumes == {SOL("2").units if known else -1}


def test_news_that_does_not_lie_along_the_tape_is_counted_or_refused():
    tape = tape_of(SPOT, ["150", "151"])
    some = tape.with_news([Reading("mood", HOUR, 1), Reading("mood", 99 * HOUR, 1)])
    assert (len(some.news), some.outside) == (1, 1)
    with pytest.raises(BadTape, match="none of the news"):
        tape.with_news([Reading("mood", 99 * HOUR, 1)])
    with pytest.raises(BadTape, match="news is"):
        tape.with_news(["rumour"])
    assert some.digest() != tape.digest()
    assert some.slice(1).news == ()


def test_a_reading_of_a_time_to_come_moves_no_clock_and_is_replaced():
    """An outside feed's clock is not the books': one wrong stamp must not make every price stale for good."""
    desk, (heard,) = desk_with(Listener(SPOT))
    desk.step(Quote(SPOT, SECOND, 15_000, 15_000))
    desk.step(Reading("mood", 10**19, 1.0))
    assert desk.books.now == SECOND
    desk.step(Quote(SPOT, 2 * SECOND, 15_000, 15_000))
    desk.step(Reading("mood", 2 * SECOND, 2.0))
    assert heard[-1][5] == Reading("mood", 2 * SECOND, 2.0)
