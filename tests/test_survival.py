"""What a reviewer broke, each as the story that broke it: commands between questions, lost cancels, transfers, wallets."""

from __future__ import annotations

import anyio
import pytest

from helpers import BTCUSD, SECOND, Puppet
from sleeves import ETH, QUIET, SOL, USD, USDC, Books, CoreVault, Desk, Instrument, Place, Reserve, Side, Treasury
from sleeves.engines import Idle
from sleeves.errors import VaultError, VenueUnavailable, VenueUnknown
from sleeves.facts import CashFlow, FlowKind, FundingPaid, Transferred, TransferRefused
from sleeves.journal import Memory
from sleeves.journals import SQLite
from sleeves.live import carry, trade
from sleeves.market import DAY, HOUR, FundingRate, Kind, Quote
from sleeves.orders import Cancel, CancelOrder, Fill, Liquidity, OrderStatus, Position
from sleeves.records import Cause, Policy, Residual
from sleeves.recovery import Chase, reconcile, recover
from sleeves.sim import VirtualDriver
from sleeves.state import State
from sleeves.status import Status
from standing import assert_stands, reopened
from test_reconcile import ETHUSD, House, by_hand
from test_recovery import MARKET, TAPE, Life, _floor, both, story

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)


# -- facts of markets that nobody here watches -------------------------------------------------------------------------------


def test_a_fact_of_a_market_that_no_engine_watches_does_not_spoil_the_journal(tmp_path):
    path = tmp_path / "a.sleeves"
    with SQLite.open(path) as journal:
        desk = Desk(CoreVault(USD, total="20000", books=Books(journal), at=1))
        stranger = Fill("web-1", 5, ETHUSD, Side.BUY, 10**16, 200_000, 2_000, USD("1"), Liquidity.TAKER, "t", "sim")
        desk.step(stranger)
        desk.step(FundingPaid(FundingRate(PERP, 6, 100, 15_000, HOUR), 10**9, 77, "f", "sim"))
    with SQLite.open(path) as journal:
        books = Books(journal)
        assert next(fact.key for facts in books.quarantine.values() for fact in facts) == stranger.key
        assert len(books.quarantine) == 2


def test_a_fact_of_a_known_market_on_other_terms_is_told_and_not_written_down():
    h = House()
    other = Instrument("BTC/USD", base=MARKET.base, quote=USD, tick="0.5", lot="0.1")
    h.desk.step(Fill("x-1", 5, other, Side.BUY, 10**9, 100, 1_000, USD("1"), Liquidity.TAKER, "t", "sim"))
    assert not h.books.quarantine
    assert State.fold(Memory.read(list(h.books.journal.lines()))).count == len(h.books.journal)


# -- what a human ordered beside a quiet feed --------------------------------------------------------------------------------


class Quiet(VirtualDriver):
    """A venue that tells two prices and then nothing for long."""

    async def events(self):
        yield Quote(MARKET, TAPE.at[0], 10**6, 10**6)
        await anyio.sleep(10)


@both
def test_a_command_beside_a_quiet_feed_is_durable_within_milliseconds(backend, tmp_path):
    path = tmp_path / "a.sleeves"
    journal = SQLite.open(path)
    vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(journal), at=TAPE.at[0])
    desk, venue = Desk(vault), Quiet(TAPE, {"USD": USD("20000")}, name="sim")
    sleeve = vault.sleeve("a", QUIET, allocate="5000")
    desk.assign(Puppet(MARKET), to=sleeve)

    async def tell():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade, desk, venue)
            await anyio.sleep(0.05)
            vault.allocate(sleeve, "10")
            await anyio.sleep(0.05)
            assert journal.waiting == 0
            await carry(desk, desk.kill(sleeve, flatten=True, by="ann"), venue)
            assert journal.waiting == 0
            tasks.cancel_scope.cancel()

    anyio.run(tell, backend=backend)
    journal.close()


# -- commands between questions ----------------------------------------------------------------------------------------------


@story
async def test_a_command_is_sent_before_the_next_question_fails(life):
    """A lost fill is found while flattening; the sale that follows leaves though the balances are not told."""
    await life.hears(3)
    await life.buys("0.2")
    await life.hears(1, tells=False)
    for command in life.desk.kill(life.sleeve, flatten=True, by="ann"):
        await life.venue.cancel(command.order)
    await life.hears(2, tells=False)

    async def deaf():
        raise VenueUnavailable("503")

    life.venue.balances = deaf
    with pytest.raises(VenueUnavailable):
        await reconcile(life.desk, life.venue)
    assert life.venue.sent == ["a-1", "a-2"], "the flattening sale has left"
    del life.venue.balances
    await life.hears(3)
    assert life.sleeve.is_flat()
    await life.agrees()


@story
async def test_an_order_whose_sending_is_broken_off_is_of_unknown_fate_and_those_behind_it_are_free(life):
    await life.hears(3)
    life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1")), Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    commands = life.desk.step(await anext(life.events))
    assert len(commands) == 2

    async def never(order):
        await anyio.sleep(60)

    life.venue.submit = never
    with anyio.move_on_after(0.02):
        await carry(life.desk, commands, life.venue)
    del life.venue.submit
    assert life.desk.status_of("a-1") is OrderStatus.UNKNOWN and life.desk.status_of("a-2") is OrderStatus.REJECTED
    assert [order.id for order in life.desk.open_orders()] == ["a-1"]
    await life.agrees()


@story
async def test_balances_beside_which_something_was_booked_are_not_believed(life):
    """The stream books a fill between the balances and the end of the look."""
    await life.hears(3)
    await life.buys()
    balances, looks = life.venue.balances, []

    async def races():
        told = await balances()
        looks.append(1)
        if len(looks) == 1:
            await life.hears(2)
        return told

    life.venue.balances = races
    (found,) = await reconcile(life.desk, life.venue)
    assert len(looks) == 2 and found.clean and not life.kept(Residual)


@story
async def test_an_account_that_moves_at_each_look_is_not_believed_at_all(life):
    await life.hears(3)
    balances = life.venue.balances

    async def races():
        await life.hears(0)
        life.vault.books.changes += 1
        return await balances()

    life.venue.balances = races
    with pytest.raises(VenueUnavailable, match="moved each of 5 times"):
        await reconcile(life.desk, life.venue)
    assert not life.kept(Residual)


@both
def test_what_an_account_did_before_the_books_were_opened_is_not_booked(backend):
    """Even where nobody said when they were opened."""
    venue = VirtualDriver(TAPE, {"USD": USD("5000")}, name="sim", wallet={"USD": USD("15000")})
    vault = CoreVault(USD, total="20000", tradeable="10000")
    desk = Desk(vault)
    desk.assign(Puppet(MARKET), to=vault.sleeve("a", QUIET, allocate="1000"))

    async def tell():
        from sleeves.orders import Transfer

        await venue.transfer(Transfer("bank-1", USD("15000"), "sim"))
        (found,) = await reconcile(desk, venue)
        assert found.clean and vault.total == USD("20000")

    anyio.run(tell, backend=backend)


# -- cancels -----------------------------------------------------------------------------------------------------------------


@story
async def test_a_kill_or_pause_whose_cancel_never_left_is_made_up_for(life):
    for stop, status in (("pause", Status.PAUSED), ("kill", Status.HALTED)):
        await life.hears(3)
        await life.buys("0.01", limit=MARKET.shift(life.desk.marks()[MARKET.symbol].price, -500_000, _floor()))
        await life.hears(2)
        order = life.desk.open_orders()[0]
        commands = life.desk.pause(life.sleeve, by="ann") if stop == "pause" else life.desk.kill(life.sleeve, flatten=False, by="ann")
        assert commands == [CancelOrder(order)]
        life.dies()
        found = await recover(life.desk, life.venue)
        assert found.commands == (CancelOrder(order),) and life.sleeve.own_status is status
        await life.hears(2)
        assert life.sleeve.held == USD.zero
        if stop == "pause":
            life.sleeve.resume(by="ann")


@pytest.mark.parametrize("error", [VenueUnknown("timed out"), VenueUnavailable("no route")])
@both
def test_a_cancel_that_was_lost_is_asked_again_until_it_goes_through(backend, tmp_path, error):
    async def tell():
        life = Life(tmp_path / "a.sleeves")
        await life.hears(3)
        await life.buys(limit=MARKET.shift(life.desk.marks()[MARKET.symbol].price, -500_000, _floor()))
        await life.hears(2)
        cancel, tries = life.venue.cancel, []

        async def bad(order):
            tries.append(order.id)
            if len(tries) < 3:
                raise error
            await cancel(order)

        life.venue.cancel = bad
        life.puppet.wishes = [Cancel("a-1")]
        await life.hears(1)
        chase = Chase(life.desk, {"sim": life.venue}, 60.0)
        life.venue.deaf = 1
        for _ in range(4):
            await chase.once()
        await life.hears(2)
        assert len(tries) == 3 and life.desk.status_of("a-1") is OrderStatus.CANCELED
        await life.agrees()
        await life.events.aclose()
        life.journal.close()

    anyio.run(tell, backend=backend)


@story
async def test_a_cancel_of_the_venues_own_that_was_never_heard_is_found_by_the_look(life):
    await life.hears(3)
    await life.buys(limit=MARKET.shift(life.desk.marks()[MARKET.symbol].price, -500_000, _floor()))
    await life.hears(2)
    await life.venue.cancel(life.desk.open_orders()[0])
    await life.hears(1, tells=False)
    await reconcile(life.desk, life.venue)
    assert life.sleeve.held == USD.zero and not life.desk.open_orders()


def test_resting_orders_are_canceled_where_what_they_trade_does_not_agree():
    h = House()
    h.desk.index(ETHUSD)
    order = h.puppets["quiet"].wish(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.1"), limit=BTCUSD.price("9000"))).order
    h.moves(ETH("1"), line=False)
    h.look()
    assert not h.commands, "a coin that it does not trade"
    h.moves(h.puppets["quiet"].market.base("1"), line=False)
    h.look()
    assert h.commands == [CancelOrder(order)]


# -- transfers ---------------------------------------------------------------------------------------------------------------


def test_a_line_of_something_else_is_not_taken_for_a_transfer():
    h = House()
    (transfer,) = h.desk.withdraw(h.vault, "700", by="ann")
    h.moves(USD("-700"), FlowKind.EARN)
    (one,) = h.look().found
    assert (one.cause, one.amount) == (Cause.EARN, USD("-700")) and h.vault.in_transit == USD("700")
    h.desk.step(TransferRefused(h.books.now, transfer.id, "limits"))
    h.holds()
    assert h.vault.in_transit == USD.zero and h.vault.suspense == USD("-700")


@pytest.mark.parametrize("amount", ["700", "-700"])
def test_what_was_taken_for_a_transfer_that_is_refused_has_no_name_and_is_shown(amount):
    h = House()
    commands = h.desk.deposit(h.vault, "700") if amount == "700" else h.desk.withdraw(h.vault, "700", by="ann")
    h.moves(USD(amount), line=False)
    assert h.look().clean
    h.desk.step(TransferRefused(h.books.now, commands[0].id, "limits"))
    h.holds()
    assert [(one.cause, one.amount) for one in h.books.residuals.values()] == [(Cause.UNKNOWN, USD(amount))]
    assert h.vault.suspense == USD(amount) and h.vault.total == USD("20000") + USD(amount)


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_transfer_that_never_reached_the_venue_can_be_given_up(way):
    h = House()
    (transfer,) = h.desk.deposit(h.vault, "700") if way == "in" else h.desk.withdraw(h.vault, "700", by="ann")
    idle = h.vault.idle
    with pytest.raises(VaultError, match="a name and a reason"):
        h.desk.give_up(transfer.id, by="ann", why="")
    h.desk.give_up(transfer.id, by="ann", why="it was never sent")
    h.holds()
    assert h.vault.in_transit == USD.zero and h.vault.idle == idle + (USD("700") if way == "out" else USD.zero)
    h.moves(USD("450"), line=False)
    assert [one.cause for one in h.look().found] == [Cause.UNKNOWN], "nothing is expected any more"
    with pytest.raises(VaultError, match="no transfer"):
        h.desk.give_up(transfer.id, by="ann", why="again")


def test_a_deposit_whose_line_comes_before_its_fact_is_booked_once():
    h = House()
    fact = Transferred(h.books.now, USD("700"), "bank-9", "test")
    h.moves(USD("700"), FlowKind.DEPOSIT, fact.key)
    assert [one.cause for one in h.look().found] == [Cause.DEPOSIT]
    h.desk.step(fact)
    h.holds()
    assert h.vault.total == USD("20700") and h.vault.suspense == USD.zero and h.look().clean


def test_tradeable_grows_the_same_with_a_restart_as_without():
    """Coins that set out, stayed after all, and came again."""

    def life(restart):
        vault = CoreVault(USD, total="1000", tradeable="500", cap="2000", at=1)
        desk = Desk(vault)
        desk.assign(Puppet(MARKET), to=vault.sleeve("a", QUIET, allocate="100"))
        (transfer,) = desk.withdraw(vault, "50", by="ann")
        for event in (Transferred(2, USD("40"), "b1", "v"), TransferRefused(3, transfer.id, "no"), Transferred(4, USD("-40"), "b2", "v")):
            desk.step(event)
        if restart:
            desk = reopened(desk)
            desk.recovered()
        desk.step(Transferred(5, USD("40"), "b3", "v"))
        return desk.treasury.vaults[0].tradeable

    assert life(True) == life(False)


# -- wallets, venues, engines ------------------------------------------------------------------------------------------------


def two_wallets():
    books = Books()
    vaults = [CoreVault(USD, total="1000", tradeable="1000", wallet=w, books=books, at=1) for w in ("kraken", "drift")]
    sleeves = [vault.sleeve(f"s-{vault.wallet}", QUIET, allocate="500") for vault in vaults]
    desk = Desk(*vaults)
    for sleeve in sleeves:
        desk.assign(Puppet(MARKET, sleeve.name), to=sleeve)
    return desk, vaults, sleeves


def test_a_residual_is_adopted_in_its_own_wallet_only():
    desk, vaults, sleeves = two_wallets()
    (found, _) = desk.reconcile({"USD": USD("1050")}, wallet="kraken")
    for to in (sleeves[1], vaults[1]):
        with pytest.raises(VaultError, match="wallet"):
            desk.adopt(found.found[0], to, by="ann", why="x")
    desk.adopt(found.found[0], sleeves[0], by="ann", why="x")
    assert sleeves[0].realized == USD("50")


def test_contracts_are_compared_within_their_wallet():
    books = Books()
    vaults = [
        CoreVault(asset, total="1000", tradeable="1000", wallet=w, books=books, at=1) for asset, w in ((USD, "kraken"), (USDC, "drift"))
    ]
    desk = Desk(*vaults)
    puppet = Puppet(PERP)
    puppet.sit(desk, vaults[1].sleeve("a", QUIET, allocate="1000"))
    puppet.quote("100")
    theirs = {"SOL-PERP": Position(PERP, SOL("1").units, -USDC("100").units)}
    (found, _) = desk.reconcile({"USDC": USDC("1000")}, positions=theirs, wallet="drift")
    assert found.contracts
    (found, _) = desk.reconcile({"USD": USD("1000")}, positions={}, wallet="kraken")
    assert not found.contracts and puppet.buy("1").reason == "mismatch", "one wallet's look says nothing of another's"


@story
async def test_an_order_at_a_venue_that_is_not_handed_in_stops_the_recovery(life):
    named = Instrument("BTC/USD", base=MARKET.base, quote=USD, tick="0.01", lot="0.00001", venue="sim")
    life.puppet.watches = (named,)
    desk = Desk(CoreVault(USD, total="20000", tradeable="15000", at=TAPE.at[0] - SECOND))
    sleeve = desk.treasury.vaults[0].sleeve("a", QUIET, allocate="5000")
    puppet = Puppet(named)
    puppet.sit(desk, sleeve)
    puppet.quote("10000")
    puppet.buy("0.1")
    again = reopened(desk)
    others = [VirtualDriver(TAPE, {"USD": USD("1")}, name=name) for name in ("coinbase", "kraken")]
    with pytest.raises(VaultError, match="a-1 was sent to sim, which is not among coinbase, kraken"):
        await recover(again, *others)
    assert again.recovering


def test_another_engine_after_a_restart_meets_a_late_fill_and_midnight():
    vault = CoreVault(USDC, total="10000", tradeable="8000", reserve=Reserve.flex(), at=1)
    sleeve = vault.sleeve("a", QUIET, allocate="5000")
    desk = Desk(vault)
    puppet = Puppet(PERP)
    puppet.sit(desk, sleeve)
    puppet.quote("100")
    order = puppet.buy("1").order
    for n in range(30):
        puppet.quote(str(100 + n % 3), after=HOUR)
    from sleeves.orders import Canceled

    desk.step(Canceled(order.id, desk.books.now, "x"))
    journal = Memory.read(list(desk.books.journal.lines()))
    spot = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
    again = Desk(*Treasury.reopen(Books(journal)).vaults)
    other = Puppet(spot, "other")
    other.sit(again, again.treasury.vaults[0].sleeves["a"])
    again.recovered()
    other.quote("100", after=DAY - again.books.now % DAY + 1)
    late = Fill(
        order.id, again.books.now, PERP, Side.BUY, order.place.qty, 10_000, USDC("100").units, USDC("0.1"), Liquidity.TAKER, "t", "v"
    )
    again.step(late)
    again.check(deep=True).require()
    assert_stands(again, State.fold(journal))


def test_a_trade_under_an_id_of_ours_that_another_sleeve_adopts_leaves_the_order_alone():
    h = House()
    order = h.puppets["quiet"].wish(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.1"), limit=BTCUSD.price("9000"))).order
    h.moves(h.puppets["quiet"].market.base("1"), FlowKind.DEPOSIT)
    foreign = h.fill(order.id, Side.SELL, "0.1", "10000")
    h.desk.step(foreign)
    assert foreign.key in h.books.quarantine
    h.look()
    with pytest.raises(VaultError):
        h.desk.adopt(foreign, h.flash, by="ann", why="x")  # flash has no coins to have sold
    assert order.id in {one.id for one in h.desk.open_orders()}
    assert_stands(h.desk, State.fold(h.books.journal))


# -- names of residuals ------------------------------------------------------------------------------------------------------


def test_a_line_of_what_was_adopted_as_unknown_is_not_found_again():
    h = House(tolerances={USD: "5"})
    h.moves(USD("500"), line=False)
    (one,) = h.look().found
    h.desk.adopt(one, h.vault, by="ann", why="a rebate")
    h.flows.append(CashFlow(h.books.now, USD("500"), FlowKind.REWARD, "late", "", "test"))
    h.moves(USD("1"), line=False)
    (one,) = h.look().found
    assert (one.amount, one.cause) == (USD("1"), Cause.UNKNOWN) and h.tries() == "ordered"


def test_dust_that_goes_away_again_is_taken_back():
    h = House()
    h.desk.index(Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.01"))
    for _ in range(3):
        h.moves(ETH("0.009"), line=False)
        assert [one.cause for one in h.look().standing] == [Cause.DUST]
        h.moves(ETH("-0.009"), line=False)
        assert h.look().clean


# -- bad words ---------------------------------------------------------------------------------------------------------------


@story
async def test_bad_words_change_nothing(life):
    await life.hears(3)
    await life.buys()
    life.dies()
    with pytest.raises(VaultError, match="policy 'sell' is none of resume, hold, flatten"):
        await recover(life.desk, life.venue, policy="sell")
    assert life.desk.recovering
    found = await recover(life.desk, life.venue, policy="hold")
    assert found.policy is Policy.HOLD
    written = len(life.journal)
    for bad in (0, -1, float("nan"), float("inf"), "1"):
        for name in ("patience", "reconcile_every"):
            with pytest.raises(VaultError, match=f"{name} .* must be a number of seconds"):
                await trade(life.desk, life.venue, **{name: bad})
    for flows, positions in (([1], None), (5, None), ([], {"X": (1, 2)}), ([], {"X": 1}), ([], [1])):
        with pytest.raises(VaultError):
            life.desk.reconcile({"USD": USD("20000")}, flows, positions=positions)
    for what in ([], None, 5):
        with pytest.raises(VaultError):
            life.desk.adopt(what, life.vault, by="ann", why="x")
        with pytest.raises(VaultError):
            life.desk.give_up(what, by="ann", why="x")
    assert len(life.journal) == written


def test_a_trade_is_not_adopted_by_a_core_vault_in_silence():
    h = House()
    trade_ = by_hand(h)
    h.look()
    for what in (trade_, trade_.key):
        with pytest.raises(VaultError, match="a core vault each of r1, r2"):
            h.desk.adopt(what, h.vault, by="ann", why="x")


def test_a_run_on_a_tape_keeps_its_journal_in_a_file_and_one_that_is_not_recovered_is_refused(tmp_path):
    from sleeves.sim import Tape, replay

    path, tape = tmp_path / "a.sleeves", Tape.sample().slice(0, 200)
    with SQLite.open(path) as journal:
        vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(journal), at=1)
        desk = Desk(vault)
        desk.assign(Idle(tape.instrument), to=vault.sleeve("a", QUIET, allocate="100"))
        report = replay(desk, tape)
        assert report.proof.holds and "cannot be copied" in str(report.notes())
    later = Tape.sample().slice(200, 400)
    with SQLite.open(path) as journal:
        desk = Desk(*Treasury.reopen(Books(journal)).vaults)
        desk.assign(Idle(tape.instrument), to=desk.treasury.vaults[0].sleeves["a"])
        with pytest.raises(VaultError, match="recover it before it runs on a tape"):
            replay(desk, later)
        desk.recovered()
        assert replay(desk, later).proof.holds


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Books("m.sleeves"), "SQLite.open"),
        (lambda: Treasury.reopen("m.sleeves"), "reopened from Books"),
        (lambda: Desk(Treasury(CoreVault(USD, total="1"))), "treasury.vaults"),
        (lambda: CoreVault(USD, total="1", books=Memory()), "Books"),
        (lambda: Treasury(CoreVault(USD, total="1"))["EUR"], "but of USD"),
    ],
)
def test_what_is_handed_to_the_wrong_place_is_said(wrong, said):
    with pytest.raises(Exception, match=said):
        wrong()


@pytest.mark.parametrize(("policy", "status"), [("flatten", Status.HALTED), ("hold", Status.PAUSED), ("resume", Status.ACTIVE)])
def test_a_policy_by_its_name_is_that_policy(policy, status):
    h = House()
    h.buys()
    again = reopened(h.desk)
    with pytest.raises(VaultError, match="none of resume, hold, flatten"):
        again.recovered(policy="sell")
    assert again.recovering
    again.recovered(policy=policy)
    assert again.treasury.vaults[0].sleeves["quiet"].own_status is status


def test_one_journal_has_one_set_of_books():
    journal = Memory()
    books = Books(journal)
    CoreVault(USD, total="20000", books=books)
    with pytest.raises(Exception, match="has books already"):
        Books(journal)
    del books


@both
def test_a_desk_without_engines_does_not_run_in_silence(backend, caplog):
    venue = VirtualDriver(TAPE.slice(0, 5), {"USD": USD("20000")}, name="sim")
    desk = Desk(CoreVault(USD, total="20000"))
    with caplog.at_level("WARNING", "sleeves.live"):
        anyio.run(trade, desk, venue, backend=backend)
    assert "has no engine" in caplog.text
    with pytest.raises(VaultError, match="the first is a Desk"):
        anyio.run(trade, venue, desk, backend=backend)
