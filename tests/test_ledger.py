"""The ledger's laws: balanced or not at all, one sleeve at most, whole or not at all, no overdraft by command."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import AssetMismatch, InvalidAmount, IsolationBreach, LedgerError, Overdraft, SleevesError, Unbalanced
from sleeves.ledger import Account, Entry, EntryKind, Ledger, Posting, Role
from sleeves.money import BTC, USD, Asset
from strategies import (
    CORE,
    FACT_KINDS,
    INTERNAL_KINDS,
    PASSAGE_KINDS,
    WORLD,
    accounts,
    balanced_entries,
    entries,
    heavy,
    hostile_text,
    law,
    owners,
    postings,
)

# What the rules speak of, spelled out once more: an oracle does not borrow from what it judges.
OF_A_SLEEVE = {"free", "held", "margin", "between", "unsettled", "trading", "contracts", "fees", "funding", "pnl", "high_water"}
GUARDED = {"free", "held", "margin", "between", "idle", "reserved", "in_transit", "tradeable"}
FLOWS = (OF_A_SLEEVE - {"high_water"}) | {"idle", "reserved", "suspense"}
COMMANDS = [kind for kind in EntryKind if kind not in FACT_KINDS]

FREE, HELD = Account("flash", Role.FREE), Account("flash", Role.HELD, "flash-1")
PNL = Account("flash", Role.PNL, "BTC/USD")
BETWEEN = Account("flash", Role.BETWEEN, "sweep")
IDLE = Account(CORE, Role.IDLE)
OUTSIDE = Account(WORLD, Role.WORLD)


def entry(kind, *lines, assets=(USD, BTC), at=0, by="owner"):
    """An entry written as a bank statement."""
    return Entry(at, kind, by, tuple(Posting.parse(line, assets) for line in lines))


def funded(units="100"):
    """A ledger with this much USD free in flash."""
    ledger = Ledger()
    ledger.post(entry(EntryKind.OPEN, f"{CORE}/idle {units} USD", f"world/world -{units} USD"))
    ledger.post(entry(EntryKind.ALLOCATE, f"{CORE}/idle -{units} USD", f"flash/free {units} USD"))
    return ledger


class Model:
    """Balances as plain sums, and the rules as plain sentences."""

    def __init__(self):
        self.cells = defaultdict(int)
        self.posted = []

    def broken(self, entry):
        """The errors that this entry deserves."""
        sums, sleeves, found = defaultdict(int), set(), set()
        after = self.cells.copy()
        for account, asset, units in entry.postings:
            sums[asset.code] += units
            after[account, asset] += units
            if account.role.value in OF_A_SLEEVE:
                sleeves.add(account.owner)
            elif entry.kind in INTERNAL_KINDS:
                found.add(IsolationBreach)
            if entry.kind in PASSAGE_KINDS and account.role.value not in ("free", "between"):
                found.add(IsolationBreach)
            if entry.kind in INTERNAL_KINDS and account.role is Role.BETWEEN:
                found.add(IsolationBreach)
        if any(sums.values()):
            found.add(Unbalanced)
        if len(sleeves) > 1:
            found.add(IsolationBreach)
        if entry.kind not in FACT_KINDS:
            touched = {(account, asset) for account, asset, _ in entry.postings if account.role.value in GUARDED}
            if any(after[cell] < min(0, self.cells[cell]) for cell in touched):
                found.add(Overdraft)
        return found

    def apply(self, entry):
        self.posted.append(entry)
        for account, asset, units in entry.postings:
            self.cells[account, asset] += units


def snapshot(ledger):
    """Everything that can be read off a ledger, in the order in which it is told."""
    owners_ = list(ledger.owners())
    flows = {(owner, kind, asset): ledger.flow(owner, kind, asset) for owner in owners_ for kind in EntryKind for asset in (USD, BTC)}
    return list(ledger.accounts()), owners_, [ledger.cells(owner) for owner in owners_], flows, dict(ledger.trial_balance())


# -- the laws, over any sequence of entries ----------------------------------------------------------------------------


@heavy
@given(st.lists(entries(), max_size=12))
def test_an_entry_is_posted_exactly_when_no_rule_forbids_it_and_otherwise_nothing_changes(sequence):
    ledger, model = Ledger(), Model()
    for each in sequence:
        deserved = model.broken(each)
        before = snapshot(ledger)
        if deserved:
            with pytest.raises(tuple(deserved)):
                ledger.check(each)
            with pytest.raises(tuple(deserved)):
                ledger.post(each)
            assert snapshot(ledger) == before
        else:
            ledger.check(each)
            assert snapshot(ledger) == before
            ledger.post(each)
            model.apply(each)
        assert not any(ledger.trial_balance().values())
        for (account, asset), units in model.cells.items():
            assert ledger.units(account, asset) == units
            assert ledger.balance(account, asset) == asset.units(units)


@heavy
@given(st.lists(entries(), max_size=15))
def test_flows_are_the_sums_of_what_came_from_others(sequence):
    ledger, flows, sums = Ledger(), defaultdict(int), defaultdict(int)
    for each in sequence:
        try:
            ledger.post(each)
        except LedgerError:
            continue
        for account, asset, units in each.postings:
            if account.role.value in FLOWS:
                sums[account.owner, asset] += units
                if each.kind not in INTERNAL_KINDS and each.kind not in PASSAGE_KINDS:
                    flows[account.owner, each.kind, asset] += units
    for owner in ("quiet", "flash", CORE, WORLD):
        for asset in (USD, BTC):
            assert [ledger.flow(owner, kind, asset) for kind in EntryKind] == [flows[owner, kind, asset] for kind in EntryKind]
            assert ledger.net_flow(owner, asset) == sum(flows[owner, kind, asset] for kind in EntryKind)
            assert ledger.net_flow(owner, asset) == sums[owner, asset]


@heavy
@given(st.lists(st.one_of(entries(), balanced_entries()), max_size=15))
def test_a_ledger_is_the_fold_of_its_entries(sequence):
    ledger, posted = Ledger(), []
    for each in sequence:
        try:
            ledger.post(each)
        except LedgerError:
            continue
        posted.append(each)
    again = Ledger()
    for each in posted:
        again.post(each)
    assert snapshot(again) == snapshot(ledger)
    applied = Ledger()
    for each in posted:
        applied.apply(each)
    assert snapshot(applied) == snapshot(ledger)


@heavy
@given(st.lists(balanced_entries(), max_size=8))
def test_facts_are_always_booked(sequence):
    ledger = Ledger()
    for each in sequence:
        ledger.post(each)
    assert not any(ledger.trial_balance().values())


@heavy
@given(st.lists(entries(), max_size=12))
def test_a_hold_that_is_used_up_leaves_no_account_behind(sequence):
    ledger = Ledger()
    for each in sequence:
        try:
            ledger.post(each)
        except LedgerError:
            continue
        for account, amount in ledger.accounts():
            assert account.role is not Role.HELD or amount.units
        for owner in ledger.owners():
            assert [cell for cell in ledger.cells(owner) if cell[0].role is Role.HELD and not cell[2]] == []


@heavy
@given(st.lists(entries(), max_size=12))
def test_a_total_is_the_sum_over_all_that_an_account_is_of(sequence):
    ledger = Ledger()
    for each in sequence:
        try:
            ledger.post(each)
        except LedgerError:
            continue
    everything = list(ledger.accounts())
    for owner in ("quiet", "flash", CORE, "nobody"):
        assert list(ledger.accounts(owner)) == [(a, m) for a, m in everything if a.owner == owner]
        assert ledger.cells(owner) == [(a, m.asset.code, m.units) for a, m in everything if a.owner == owner]
        for role in Role:
            for asset in (USD, BTC):
                expected = sum(m.units for a, m in everything if (a.owner, a.role, m.asset) == (owner, role, asset))
                assert ledger.total(owner, role, asset) == expected


# -- balance -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EntryKind)
def test_an_entry_that_is_one_unit_out_is_refused(kind):
    one_sleeve = [Posting(FREE, USD, 100), Posting(BETWEEN if kind in PASSAGE_KINDS else PNL, USD, -99)]
    with pytest.raises(Unbalanced, match="USD of the entry sums to 1 units"):
        Ledger().check(Entry(0, kind, "x", tuple(one_sleeve)))


def test_each_asset_balances_by_itself():
    with pytest.raises(Unbalanced):
        Ledger().post(Entry(0, EntryKind.FILL, "x", (Posting(FREE, USD, 5), Posting(FREE, BTC, -5))))


def test_an_entry_without_postings_changes_nothing():
    ledger = Ledger()
    ledger.post(Entry(0, EntryKind.ADJUST, "x", ()))
    assert list(ledger.accounts()) == []


@pytest.mark.parametrize("units", [0.5, 1.0, 1e300, math.nan, math.inf, "1", None], ids=repr)
def test_the_ledger_counts_in_whole_units(units):
    """No float gets into the books, not even one that balances to zero."""
    ledger = Ledger()
    other = -units if isinstance(units, float) else units
    with pytest.raises((SleevesError, TypeError)):
        ledger.post(Entry(0, EntryKind.FUNDING, "x", (Posting(FREE, USD, units), Posting(PNL, USD, other))))
    assert list(ledger.accounts()) == []


# -- isolation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EntryKind)
def test_a_payment_from_one_sleeve_to_another_cannot_be_written(kind):
    ledger = Ledger()
    ledger.post(entry(EntryKind.DEPOSIT, "quiet/free 100 USD", "world/world -100 USD"))
    with pytest.raises(IsolationBreach):
        ledger.post(entry(kind, "quiet/free -1 USD", "flash/free 1 USD"))
    assert ledger.units(Account("quiet", Role.FREE), USD) == 100_000_000


@pytest.mark.parametrize("role", sorted(OF_A_SLEEVE))
def test_no_role_of_a_sleeve_meets_one_of_another_sleeve(role):
    with pytest.raises(IsolationBreach):
        Ledger().post(entry(EntryKind.ADJUST, f"quiet/{role} -1 USD", "flash/pnl 1 USD"))


@pytest.mark.parametrize("kind", INTERNAL_KINDS)
@pytest.mark.parametrize("role", sorted({role.value for role in Role} - OF_A_SLEEVE | {"between"}))
def test_what_happens_inside_a_sleeve_pays_nobody(kind, role):
    with pytest.raises(IsolationBreach):
        funded().post(entry(kind, "flash/free -1 USD", f"flash/{role} 1 USD"))


@pytest.mark.parametrize("kind", PASSAGE_KINDS)
@pytest.mark.parametrize("role", sorted({role.value for role in Role} - {"free", "between"}))
def test_a_move_between_sub_accounts_makes_nothing_and_pays_nobody(kind, role):
    with pytest.raises(IsolationBreach):
        funded().post(entry(kind, "flash/free -1 USD", f"flash/{role} 1 USD"))
    with pytest.raises(IsolationBreach):
        funded().post(entry(kind, "flash/free -1 USD", "quiet/between 1 USD"))
    ledger = funded()
    ledger.post(entry(kind, "flash/free -1 USD", "flash/between:reclaim 1 USD"))
    assert ledger.flow("flash", kind, USD) == 0


@pytest.mark.parametrize("kind", INTERNAL_KINDS)
def test_what_happens_inside_a_sleeve_does_not_turn_its_profit_mark_into_coins(kind):
    """The high water is a mark; its other side is MEMO. Coins that come out of it would be nobody's."""
    ledger = funded()
    with pytest.raises(LedgerError):
        ledger.post(entry(kind, "flash/free 1 USD", "flash/high_water -1 USD"))


@pytest.mark.parametrize("kind", [EntryKind.ALLOCATE, EntryKind.SWEEP, EntryKind.ADJUST])
@pytest.mark.parametrize("mark", [f"{CORE}/memo", f"{CORE}/tradeable", "flash/high_water"])
def test_a_permission_or_a_mark_never_becomes_a_coin(kind, mark):
    """TRADEABLE, HIGH_WATER and MEMO balance among themselves: new coins come from WORLD alone."""
    ledger = funded()
    ledger.post(entry(EntryKind.TRADEABLE, f"{CORE}/tradeable 50 USD", f"{CORE}/memo -50 USD"))
    with pytest.raises(LedgerError):
        ledger.post(entry(kind, "flash/free 1 USD", f"{mark} -1 USD"))


# -- overdraft ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_may_take_an_account_to_zero_and_not_below(kind):
    ledger = funded("100")
    other = PNL if kind in INTERNAL_KINDS else BETWEEN if kind in PASSAGE_KINDS else IDLE
    with pytest.raises(Overdraft, match=r"flash/free by 1 units of USD"):
        ledger.post(Entry(0, kind, "x", (Posting(FREE, USD, -100_000_001), Posting(other, USD, 100_000_001))))
    ledger.post(Entry(0, kind, "x", (Posting(FREE, USD, -100_000_000), Posting(other, USD, 100_000_000))))
    assert ledger.units(FREE, USD) == 0


@pytest.mark.parametrize("kind", FACT_KINDS)
def test_a_fact_is_booked_even_where_it_overdraws(kind):
    ledger = funded("100")
    other = PNL if kind in INTERNAL_KINDS else BETWEEN if kind in PASSAGE_KINDS else IDLE
    ledger.post(Entry(0, kind, "x", (Posting(FREE, USD, -100_000_001), Posting(other, USD, 100_000_001))))
    assert ledger.units(FREE, USD) == -1


@pytest.mark.parametrize("role", sorted(GUARDED - {"free", "held", "margin", "between"}))
def test_guarded_accounts_of_a_core_vault_are_not_overdrawn_by_command(role):
    other = f"{CORE}/memo" if role == "tradeable" else "world/world"
    with pytest.raises(Overdraft):
        Ledger().post(entry(EntryKind.RESERVE, f"{CORE}/{role} -0.000001 USD", f"{other} 0.000001 USD"))


def test_a_command_may_lessen_an_overdraft_but_not_deepen_it():
    ledger = funded("100")
    ledger.post(entry(EntryKind.FUNDING, "flash/free -130 USD", "flash/funding 130 USD"))
    assert ledger.balance(FREE, USD) == USD("-30")
    ledger.post(Entry(0, EntryKind.OPEN, "x", (Posting(IDLE, USD, 10_000_000), Posting(OUTSIDE, USD, -10_000_000))))
    ledger.post(Entry(0, EntryKind.ALLOCATE, "x", (Posting(IDLE, USD, -10_000_000), Posting(FREE, USD, 10_000_000))))
    assert ledger.balance(FREE, USD) == USD("-20")
    with pytest.raises(Overdraft):
        ledger.post(entry(EntryKind.RECLAIM, "flash/free -0.000001 USD", f"{CORE}/idle 0.000001 USD"))


def test_an_overdraft_is_judged_on_the_entry_as_a_whole():
    """An account may go out and in within one entry; what counts is where it ends."""
    ledger = funded("100")
    through = (Posting(FREE, USD, -200_000_000), Posting(FREE, USD, 150_000_000), Posting(IDLE, USD, 50_000_000))
    ledger.post(Entry(0, EntryKind.RECLAIM, "x", through))
    assert ledger.balance(FREE, USD) == USD("50")


def test_an_overdraft_in_one_asset_is_not_hidden_by_another():
    ledger = funded("100")
    with pytest.raises(Overdraft, match="BTC"):
        ledger.post(entry(EntryKind.HOLD, "flash/free -0.1 BTC", "flash/held:flash-1 0.1 BTC"))


# -- assets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EntryKind)
def test_an_asset_never_changes_how_finely_it_is_counted(kind):
    ledger = funded("100")
    other = PNL if kind in INTERNAL_KINDS else BETWEEN if kind in PASSAGE_KINDS else IDLE
    coarse = Asset("USD", 2)
    before = snapshot(ledger)
    with pytest.raises(AssetMismatch, match="6 decimal places, not 2"):
        ledger.post(Entry(0, kind, "x", (Posting(other, coarse, 1), Posting(FREE, coarse, -1))))
    assert snapshot(ledger) == before


def test_one_entry_does_not_count_a_new_asset_in_two_ways():
    """100 hundredths are not 100 millionths, even the first time that the asset is seen."""
    ledger = Ledger()
    with pytest.raises((AssetMismatch, Unbalanced)):
        ledger.post(Entry(0, EntryKind.FUNDING, "x", (Posting(FREE, Asset("NEW", 2), 100), Posting(PNL, Asset("NEW", 6), -100))))
    assert list(ledger.accounts()) == []


def test_an_equal_asset_is_the_same_asset():
    ledger = funded("100")
    again = Asset("USD", 6)
    ledger.post(Entry(0, EntryKind.FUNDING, "x", (Posting(FREE, again, 1), Posting(PNL, again, -1))))
    assert ledger.units(FREE, USD) == 100_000_001
    assert ledger.asset("USD") == USD


def test_an_asset_that_was_never_booked_is_not_known():
    with pytest.raises(LedgerError, match="XYZ"):
        funded().asset("XYZ")


def test_an_account_that_was_never_posted_to_holds_nothing():
    ledger = funded()
    assert ledger.units(Account("nobody", Role.FREE), USD) == 0
    assert ledger.balance(FREE, BTC) == BTC.zero
    assert ledger.flow("nobody", EntryKind.ALLOCATE, USD) == 0
    assert ledger.net_flow("nobody", USD) == 0
    assert list(ledger.accounts("nobody")) == []


def test_a_hold_of_nothing_leaves_no_account_behind():
    ledger = funded()
    ledger.post(Entry(0, EntryKind.HOLD, "x", (Posting(FREE, USD, 0), Posting(HELD, USD, 0))))
    assert HELD not in [account for account, _ in ledger.accounts()]


# -- kinds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EntryKind)
def test_a_kind_is_a_command_or_a_fact(kind):
    assert kind.is_fact is (kind in FACT_KINDS)


# -- text --------------------------------------------------------------------------------------------------------------


@law
@given(accounts)
def test_an_account_reads_back_from_its_text(account):
    assert Account.parse(str(account)) == account
    assert Account.parse(str(account)).role is account.role


@law
@given(postings)
def test_a_posting_reads_back_from_its_text(posting):
    assert Posting.parse(str(posting), [posting.asset]) == posting


@law
@given(balanced_entries())
def test_an_entry_reads_back_from_its_text_posting_by_posting(each):
    lines = str(each).split(" | ") if each.postings else []
    assert tuple(Posting.parse(line, [USD, BTC]) for line in lines) == each.postings


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("flash/free", Account("flash", Role.FREE)),
        ("flash/trading:BTC/USD", Account("flash", Role.TRADING, "BTC/USD")),
        ("core:main:USD/idle", Account("core:main:USD", Role.IDLE)),
        ("core:main:USD/idle:flash", Account("core:main:USD", Role.IDLE, "flash")),
        ("flash/held:a:b", Account("flash", Role.HELD, "a:b")),
    ],
)
def test_how_an_account_is_written(text, account):
    assert Account.parse(text) == account
    assert str(account) == text


@pytest.mark.parametrize(
    "text",
    ["", "flash", "/free", "flash/", "flash/gold", "flash/FREE", "flash/free:", "a b/free", "flash/free:a b", "flash /free", "a/b/free"],
)
def test_what_is_no_account_is_refused(text):
    with pytest.raises(LedgerError, match="is not an account"):
        Account.parse(text)


@pytest.mark.parametrize("text", ["", "flash/free", "flash/free 1", "flash/free 1 EUR", "flash/free 1 USD more", "flash/free USD 1"])
def test_what_is_no_posting_is_refused(text):
    with pytest.raises(LedgerError, match="is not a posting"):
        Posting.parse(text, [USD, BTC])


@pytest.mark.parametrize("number", ["nan", "1e5", "0.0000001", "--1", "1,000"])
def test_a_posting_of_no_exact_amount_is_refused(number):
    with pytest.raises(InvalidAmount):
        Posting.parse(f"flash/free {number} USD", [USD])


@law
@given(hostile_text)
def test_any_text_is_an_account_or_refused(text):
    try:
        account = Account.parse(text)
    except LedgerError:
        return
    assert str(account) == text


@law
@given(hostile_text, hostile_text)
def test_an_account_that_is_booked_reads_back_from_its_text(owner, of):
    """Whatever the ledger takes, the journal can write and read; what it cannot is refused before it is booked."""
    account = Account(owner, Role.FREE, of)
    ledger = Ledger()
    try:
        ledger.post(Entry(0, EntryKind.FUNDING, "x", (Posting(account, USD, 1), Posting(Account(owner, Role.PNL), USD, -1))))
    except LedgerError:
        return
    assert Account.parse(str(account)) == account


@law
@given(owners)
def test_an_error_names_the_entry_in_its_text(owner):
    bad = Entry(0, EntryKind.FILL, "x", (Posting(Account(owner, Role.FREE), USD, 150_000),))
    with pytest.raises(Unbalanced) as refused:
        Ledger().post(bad)
    assert f"{owner}/free 0.15 USD" in str(refused.value)


@law
@given(st.lists(entries(), max_size=30))
def test_sums_that_are_kept_are_what_the_balances_sum_to(many):
    """By role, by what owners received, and what stands in SUSPENSE: also after a ledger is written out and read back."""
    ledger = Ledger()
    changed = ledger.follow()
    for one in many:
        try:
            ledger.post(one)
        except SleevesError:
            continue
    for known in (ledger, Ledger.load(ledger.dump())):
        assert known.differences() == []
        sums, suspense = defaultdict(int), []
        for account, amount in known.accounts():
            sums[account.owner, account.role, amount.asset] += amount.units
            if account.role is Role.SUSPENSE and amount.units:
                suspense.append((account, amount.asset.code, amount.units))
        assert all(known.total(*key) == units for key, units in sums.items())
        assert sorted(known.suspense) == sorted(suspense)
    assert {account.owner for account, _ in ledger.accounts()} <= changed


def test_a_sum_that_is_off_is_named():
    ledger = funded()
    ledger._sums["flash", Role.FREE, "USD"].units += 1
    ledger._net["flash", "USD"] += 1
    assert [line.partition(" ")[0] for line in ledger.differences()] == ["flash/free", "what"]
