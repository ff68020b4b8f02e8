"""A whole story on the simulated venue as on a live one: deposit, open, funding, close, settle, withdraw."""

from __future__ import annotations

import anyio
import pytest

from sleeves import FLASH, SOL, USDC, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import BadTape, InvalidAmount, InvalidMarket, VaultError
from sleeves.live import carry, trade
from sleeves.market import HOUR, FundingRate, Kind
from sleeves.records import Alert, Refusal
from sleeves.sim import Fees, Rules, Slippage, Tape, VirtualDriver, account_of, replay

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
RULES = Rules(Fees(0, 0), Slippage.none())


class Human:
    """Says by the hour what is to be done, through the desk's own commands."""

    name, every, watches = "human", 0, (PERP,)

    def begin(self):
        return None

    def decide(self, memory, view):
        return None


class InAndOut(Human):
    def begin(self):
        return [0]

    def decide(self, memory, view):
        memory[0] += 1
        side = Side.BUY if memory[0] % 4 == 1 else Side.SELL if memory[0] % 4 == 3 else None
        return None if side is None else [Place(PERP, side, PERP.qty("5"))]


class Story(VirtualDriver):
    """The paper venue, with a human who acts between its events."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.script = {}
        self.hour = 0

    async def events(self):
        async for event in super().events():
            yield event
            if type(event).__name__ == "Quote":
                self.hour += 1
                act = self.script.pop(self.hour, None)
                if act is not None:
                    await act()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_deposit_open_funding_close_settle_withdraw(backend):
    prices = ["100", "100", "101", "102", "110", "110", "110", "110"]
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(8)], open=prices, high=prices, low=prices, close=prices)
    tape = tape.with_funding([FundingRate.of(PERP, "-0.1%", price="100", at=3 * HOUR)])
    vault = CoreVault(USDC, total="1000", tradeable="1000", cap="1500")
    sleeve = vault.sleeve("flash", FLASH, allocate="1000")
    desk = Desk(vault)
    desk.assign(Human(), to=sleeve)
    venue = Story(tape, account_of(desk), RULES, wallet={"USDC": USDC("500")})
    seen = []

    async def deposit():
        await carry(desk, desk.deposit(vault, "400"), venue)

    async def open_():
        assert vault.total == USDC("1400")
        assert vault.tradeable == USDC("1400")
        answer = desk.order(sleeve, Place(PERP, Side.BUY, PERP.qty("10"), limit=PERP.price("101")), by="ann")
        await carry(desk, answer, venue)

    async def look():
        seen.append((sleeve.position(PERP), desk.exposure(vault).joint.health))

    async def close():
        assert sleeve.funding == USDC("1")
        assert sleeve.unsettled == USDC("1")
        with pytest.raises(VaultError, match="health would go from"):
            Desk.withdraw(desk, vault, "400", by="ann", least_health=97)
        await carry(desk, desk.close(sleeve, PERP, by="ann"), venue)

    async def withdraw():
        assert sleeve.is_flat()
        assert sleeve.unsettled == USDC.zero
        await carry(desk, desk.withdraw(vault, "450", by="ann"), venue)

    venue.script = {1: deposit, 2: open_, 3: look, 5: close, 7: withdraw}
    anyio.run(trade, desk, venue, backend=backend)

    assert seen == [(SOL("10"), 96)]
    assert sleeve.realized == USDC("90")  # 10 x (110 - 101)
    assert (sleeve.returned, sleeve.balance) == (USDC("91"), USDC("1000"))
    assert vault.total == USDC("1041")
    assert venue.exchange.account.wallet["USDC"] == USDC("550").units
    holdings, positions = anyio.run(venue.balances), anyio.run(venue.positions)
    assert holdings == {"USDC": USDC("1041")}
    assert desk.check(holdings, positions=positions, deep=True).holds
    waterfall = desk.explain(sleeve)
    assert waterfall.exact
    causes = {line.cause: line.amount for line in waterfall.lines}
    assert causes["realized SOL-PERP"] == USDC("90")
    assert causes["funding SOL-PERP"] == USDC("1")
    assert causes["swept to Tradeable"] == -USDC("91")


def test_commands_are_carried_out_between_two_runs_and_told_by_the_next():
    tape = Tape.from_columns(PERP, ts=[0, 3600], open=["100"] * 2, high=["100"] * 2, low=["100"] * 2, close=["100"] * 2)
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Human(), to=vault.sleeve("flash", FLASH, allocate="500"))
    venue = VirtualDriver(tape, account_of(desk), RULES)
    anyio.run(trade, desk, venue)

    async def afterwards():
        await carry(desk, desk.withdraw(vault, "100", by="ann"), venue)
        assert vault.total == USDC("1000")
        await trade(desk, venue)

    anyio.run(afterwards)
    assert vault.total == USDC("900")


def test_what_no_venue_carries_out_is_undone():
    tape = Tape.from_columns(PERP, ts=[0, 3600], open=["100"] * 2, high=["100"] * 2, low=["100"] * 2, close=["100"] * 2)
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    sleeve = vault.sleeve("flash", FLASH, allocate="500")
    desk.assign(Human(), to=sleeve)
    venues = [VirtualDriver(tape, {}, RULES, name=name) for name in ("one", "two")]

    async def act():
        await carry(desk, desk.withdraw(vault, "100", by="ann", venue="three"), *venues)
        await carry(desk, desk.settle(Instrument("X-PERP", base=SOL, quote=USDC, kind=Kind.PERP)), venues[0])
        with pytest.raises(VaultError):
            await carry(desk, [])
        with pytest.raises(VaultError):
            await carry(desk, [], venues[0], venues[0])
        refusal = desk.order(sleeve, Place(PERP, Side.BUY, PERP.qty("1000")), by="ann")
        assert isinstance(refusal, Refusal)
        with pytest.raises(TypeError):
            await carry(desk, refusal, venues[0])

    anyio.run(act)
    assert (vault.idle, vault.in_transit) == (USDC("500"), USDC.zero)
    assert [r.code for r in desk.books.journal if isinstance(r, Alert)] == ["transfer_refused"]


def test_exposure_follows_each_event_and_carries_every_figure():
    """Reference P5 and P8: nothing is told later than the event that changed it, for nothing waits in between."""
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    sleeve = vault.sleeve("flash", FLASH, allocate="1000")
    desk.assign(Human(), to=sleeve)
    prices = ["100", "100", "97", "103"]
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(4)], open=prices, high=prices, low=prices, close=prices)
    venue, seen = VirtualDriver(tape, account_of(desk), RULES), []

    async def run():
        first = True
        async for event in venue.events():
            await carry(desk, list(desk.step(event)), venue)
            joint = desk.exposure(vault).joint
            seen.append((type(event).__name__, joint.equity, joint.requirement, joint.health, joint.leverage_bp))
            if first:
                first = False
                await carry(desk, desk.order(sleeve, Place(PERP, Side.BUY, PERP.qty("20")), by="ann"), venue)

    anyio.run(run)
    assert seen[0] == ("Quote", USDC("1000"), USDC.zero, 100, 0)
    figures = [(equity, needs, health, leverage) for _, equity, needs, health, leverage in seen[1:]]
    notional = {USDC("1000"): "100", USDC("940"): "97", USDC("1060"): "103"}
    assert [kind for kind, *_ in seen] == ["Quote", "Fill", "Quote", "Quote", "Quote"]
    for equity, needs, health, leverage in figures:
        worth = USDC(notional[equity]).units * 20
        assert needs.units == worth // 20
        assert health == round(100 * (equity.units - needs.units) / equity.units)
        assert leverage == worth * 10_000 // equity.units
    assert len(figures) == 4


def test_a_replay_begins_without_contracts_that_its_venue_does_not_know():
    prices = ["100"] * 3
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(3)], open=prices, high=prices, low=prices, close=prices)

    class Buys(Human):
        def decide(self, memory, view):
            return None if view.orders() or view.position(PERP) else [Place(PERP, Side.BUY, PERP.qty("1"))]

    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Buys(), to=vault.sleeve("flash", FLASH, allocate="1000"))
    replay(desk, tape, rules=RULES, bounds=False)
    later = Tape.from_columns(PERP, ts=[36_000, 39_600], open=prices[:2], high=prices[:2], low=prices[:2], close=prices[:2])
    with pytest.raises(VaultError, match="open contracts that a new simulated venue knows nothing of"):
        replay(desk, later, rules=RULES)


def flat(market, count=4, **kwargs):
    prices = ["100"] * count
    return Tape.from_columns(market, ts=[3600 * i for i in range(count)], open=prices, high=prices, low=prices, close=prices, **kwargs)


def test_funding_beyond_the_tape_is_left_out_and_counted():
    rates = [FundingRate.of(PERP, "0.01%", price="100", at=hour * HOUR) for hour in range(1000)]
    tape = flat(PERP).with_funding(rates)
    assert [rate.at // HOUR for rate in tape.funding] == [1, 2, 3, 4]
    assert tape.outside == 996
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(InAndOut(), to=vault.sleeve("flash", FLASH, allocate="1000"))
    notes = replay(desk, tape, bounds=False, progress=False).notes()
    assert "data: 996 funding rates or books of SOL-PERP lie outside of the tape, left out" in notes


def test_funding_in_seconds_is_taken_for_a_mistake():
    rates = [FundingRate.of(PERP, "0.01%", price="100", at=1_700_000_000 + 3600 * i) for i in range(3)]
    prices = ["100"] * 4
    ts = [1_700_000_000 + 3600 * i for i in range(4)]
    tape = Tape.from_columns(PERP, ts=ts, open=prices, high=prices, low=prices, close=prices)
    with pytest.raises(BadTape, match="none of the funding rates"):
        tape.with_funding(rates)
    with pytest.raises(BadTape, match="funding is FundingRates"):
        tape.with_funding([0.0001])
    with pytest.raises(BadTape, match="books are Depths"):
        tape.with_depth([None])


@pytest.mark.parametrize("flip", [False, True])
def test_the_order_of_tapes_decides_nothing_for_the_age_of_prices(flip):
    """Bars of an hour: at the instant of one market's close the other's price is an hour old, which is fresh for such a feed."""
    spot = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")

    class Hedge(Human):
        watches = (spot,)

        def begin(self):
            return []

        def decide(self, memory, view):
            memory.append(True)
            if len(memory) != 3:  # from the third price on the pace of both feeds is known
                return None
            return [Place(spot, Side.BUY, spot.qty("1")), Place(PERP, Side.SELL, PERP.qty("1"))]

    vault = CoreVault(USDC, total="1000", tradeable="1000")
    sleeve = vault.sleeve("hedge", FLASH, allocate="1000")
    desk = Desk(vault)
    desk.assign(Hedge(), to=sleeve)
    tapes = [flat(spot, 6), flat(PERP, 6)]
    report = replay(desk, tapes[::-1] if flip else tapes, rules=Rules(Fees(0, 0)), bounds=False, progress=False)
    assert not report.story.sleeves["hedge"].refusals
    assert (sleeve.position(spot), sleeve.position(PERP)) == (SOL("1"), -SOL("1"))


def test_a_transfer_to_a_venue_that_is_not_there_is_refused_also_where_there_is_one_only():
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    venue = VirtualDriver(flat(PERP), {"USDC": USDC("1000")}, RULES)
    anyio.run(carry, desk, desk.withdraw(vault, "5", by="ann", venue="nowhere"), venue)
    assert vault.in_transit == USDC.zero
    assert venue.exchange.balances() == {"USDC": USDC("1000")}


def test_orders_that_the_venue_canceled_and_markets_that_no_tape_has_are_in_the_notes():
    class Lost(InAndOut):
        watches = (PERP, Instrument("X-PERP", base=SOL, quote=USDC, kind=Kind.PERP))

    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Lost(), to=vault.sleeve("flash", FLASH, allocate="1000"))
    prices = ["100", "120", "100", "80"]
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(4)], open=prices, high=prices, low=prices, close=prices)
    notes = replay(desk, tape, bounds=False, progress=False).notes()
    assert "flash: its engine watches X-PERP, which no tape of this run has" in notes
    assert "flash: 1 orders canceled: the price 120 is beyond what the hold covers" in notes


@pytest.mark.parametrize("balances", [{"USDC": "100"}, {USDC: USDC("100")}, {"USD": USDC("100")}])
def test_balances_are_amounts_by_the_code_of_their_asset(balances):
    with pytest.raises(InvalidMarket, match="Amounts by the code of their asset"):
        VirtualDriver(flat(PERP), balances)


@pytest.mark.parametrize("wrong", [{"pool": "x"}, {"collateral": {"SOL": "80%"}}])
def test_rules_of_the_wrong_kind_are_refused_at_once(wrong):
    with pytest.raises(InvalidAmount):
        Rules.of(**wrong)


@pytest.mark.parametrize("tapes", [[], [None], ["tape"]])
def test_a_replay_needs_tapes(tapes):
    with pytest.raises(VaultError, match="replay runs a Desk over a Tape"):
        replay(Desk(CoreVault(USDC, total="1")), tapes)


def test_an_exchange_needs_different_tapes_and_rules_for_those_only():
    tape = Tape.from_columns(PERP, ts=[0], open=["1"], high=["1"], low=["1"], close=["1"])
    with pytest.raises(VaultError, match="different instruments"):
        VirtualDriver([tape, tape], {})
    with pytest.raises(VaultError, match="which no tape is of"):
        VirtualDriver([tape], {}, {"BTC-PERP": RULES})


# -- bounds ------------------------------------------------------------------------------------------------------------------


def bounded(**kwargs):
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(InAndOut(), to=vault.sleeve("flash", FLASH, allocate="1000"))
    prices = [str(100 + i % 3) for i in range(40)]
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(40)], open=prices, high=prices, low=prices, close=prices)
    return desk, replay(desk, tape, rules=Rules(Fees(100, 400)), progress=False, **kwargs)


def test_a_report_states_the_pessimistic_and_the_optimistic_result():
    desk, report = bounded()
    written = len(desk.books.journal)
    pessimistic, optimistic = report.bounds
    made = [float(one.rows()[0]["net_profit"]) for one in (pessimistic, report, optimistic)]
    assert made[0] < made[1] < made[2]
    assert len(desk.books.journal) == written
    assert all(one.proof.holds for one in (pessimistic, optimistic))
    text = str(report)
    assert f"{made[0]:,.2f}" in text
    assert f"{made[2]:,.2f}" in text
    assert "net profit, pessimistic" in text
    assert any(note.startswith("pessimistic: slippage at market: 0.3%") for note in report.notes())


def test_bounds_can_be_left_out():
    _, report = bounded(bounds=False)
    assert "pessimistic" not in str(report)
    assert report.bounds == "this report was made without bounds"


def test_an_engine_that_keeps_something_outside_of_its_memory_has_no_bounds():
    """A copy shares what lies outside of it: its second run would be another one, and its bounds a lie."""
    outside = []

    class Shared(InAndOut):
        def decide(self, memory, view):
            outside.append(1)
            return [Place(PERP, Side.BUY, PERP.qty("5"))] if len(outside) == 1 else None

    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Shared(), to=vault.sleeve("flash", FLASH, allocate="1000"))
    prices = ["100"] * 4
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(4)], open=prices, high=prices, low=prices, close=prices)
    report = replay(desk, tape, progress=False)
    assert report.bounds == "a copy of the desk does not repeat the run: an engine or gate keeps something outside of its memory"


def test_a_desk_that_cannot_be_copied_says_so():
    import threading

    class Locked(InAndOut):
        lock = None

        def __init__(self):
            self.lock = threading.Lock()

    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Locked(), to=vault.sleeve("flash", FLASH, allocate="1000"))
    prices = ["100"] * 4
    tape = Tape.from_columns(PERP, ts=[3600 * i for i in range(4)], open=prices, high=prices, low=prices, close=prices)
    report = replay(desk, tape, progress=False)
    assert "pessimistic" not in str(report)
    (note,) = [note for note in report.notes() if note.startswith("no bounds")]
    assert "cannot be copied: TypeError" in note
