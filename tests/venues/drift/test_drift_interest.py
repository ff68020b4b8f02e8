"""What lies in a sub-account: the program's rounding both ways, and lines that sum to what the program says that there is."""

from __future__ import annotations

import pytest
from drift_worlds import perp, spot, spot_market, user
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import VenueUnavailable
from sleeves.venues.drift.interest import Anchor, Index, Ledger, Move, moved, scaled_of, signed_tokens, tokens_of
from strategies import law

ONE = 10**10


def at(deposits, borrows=None):
    return Index(0, deposits, deposits if borrows is None else borrows)


@pytest.mark.parametrize(
    ("balance", "index", "decimals", "tokens"),
    [
        (5_000 * 10**9, 10_250_000_000, 6, 5_125_000_000),  # reference 3.6, last row: 5000 scaled at 1.025
        (1_000, ONE, 6, 1),
        (999, ONE, 6, 0),
        (-999, ONE, 6, -1),
        (-1_000, ONE, 6, -1),
        (-1_001, ONE, 6, -2),
        (10**9, ONE, 9, 10**9),
        (1, 15_000_000_000, 9, 1),
        (-1, 15_000_000_000, 9, -2),
    ],
)
def test_tokens_are_rounded_against_who_has_them(balance, index, decimals, tokens):
    assert signed_tokens(balance, at(index), decimals) == tokens
    market = spot_market(decimals=decimals, deposit_index=index, borrow_index=index)
    assert tokens_of(abs(balance), market, borrowed=balance < 0) == tokens


@pytest.mark.parametrize(
    ("before", "tokens", "leaving", "after"),
    [
        (0, 100, False, 95_238),  # 100 at 1.05: 95,238.09
        (0, -100, False, -95_239),
        (95_238, -50, False, 47_619),
        (95_238, -50, True, 47_618),  # rounded up when it leaves the exchange
        (95_239, -100, True, 0),  # all of it
        (95_238, -99, True, 0),  # 95,238 is 99 tokens, no more
        (95_238, -100, False, -953),  # 99 of it are there, one is owed
        (-95_239, 40, False, -57_143),  # 95,239 - (38,095 + 1)
        (500, -1, False, -1_453),  # half a token turns with what is owed: 500 + 953
        (95_238, 0, True, 95_238),
    ],
)
def test_a_scaled_balance_moves_as_in_the_program(before, tokens, leaving, after):
    """`update_spot_balances`, by hand, at an index of 1.05 with six decimals."""
    assert moved(before, tokens, at(10_500_000_000), 6, leaving=leaving) == after


@law
@given(st.integers(0, 10**15), st.integers(ONE, 5 * ONE), st.sampled_from([5, 6, 8, 9]))
def test_a_deposit_costs_at_most_one_unit_and_a_debt_at_most_two(tokens, index, decimals):
    each = max(1, index // 10 ** (19 - decimals) + 1)
    kept = signed_tokens(scaled_of(tokens, index, decimals, up=False), at(index), decimals)
    assert tokens - each <= kept <= tokens
    owed = -signed_tokens(-scaled_of(tokens, index, decimals, up=True), at(index), decimals)
    assert not tokens or tokens <= owed + each <= tokens + 3 * each


steps = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "settle", "settle unseen", "index", "grow"]),
        st.integers(1, 10**12),
        st.integers(0, 10**7),
        st.integers(0, 10**7),
    ),
    max_size=30,
)


@law
@given(steps, st.sampled_from([6, 9]))
def test_lines_sum_to_what_the_program_says(plan, decimals):
    """A model of the program's account beside: after each anchor what was told is what there is; in between it is interest alone."""
    ledger, balance, index, lines = Ledger(), 0, at(ONE), 0
    ledger.opened(1)
    for what, amount, deposits, borrows in plan:
        if what == "grow":
            index = Index(0, index.deposits + deposits, index.borrows + max(deposits, borrows))
        elif what == "index":
            lines += ledger.index(1, index, decimals)
        elif what in ("in", "out"):
            came = amount if what == "in" else -amount
            balance = moved(balance, came, index, decimals, leaving=what == "out")
            after = signed_tokens(balance, index, decimals)
            lines += came + ledger.anchor(Anchor(1, 0, after), came, index, decimals, leaving=what == "out")
            assert ledger.told(1, 0) == after == lines
        else:
            came = amount if amount % 2 else -amount
            balance = moved(balance, came, index, decimals)
            ledger.move(Move(1, 0, came), index if what == "settle" else None, decimals)
            lines += came
        assert ledger.told(1, 0) == lines
        market = spot_market(decimals=decimals, deposit_index=index.deposits, borrow_index=index.borrows)
        there = user(spots=[spot(0, abs(balance), balance < 0)], sub=1)
        assert lines + ledger.unbooked(there, market) == signed_tokens(balance, index, decimals)


def test_what_is_more_than_interest_is_a_transaction_that_is_missing():
    ledger, index = Ledger(), at(ONE)
    ledger.opened(0)
    balance = moved(0, 10**9, index, 6)
    assert ledger.anchor(Anchor(0, 0, 10**9), 10**9, index, 6, leaving=False) == 0
    grown = spot_market(deposit_index=ONE + 10**6, borrow_index=ONE + 10**6)  # 0.01 %
    assert ledger.unbooked(user(spots=[spot(0, balance)]), grown) == 100_000
    for beside in (7_000, -7_000, 10**12):
        with pytest.raises(VenueUnavailable, match="a transaction is missing"):
            ledger.unbooked(user(spots=[spot(0, balance + beside)]), grown)
    ledger.move(Move(0, 0, -5), None, 6)  # by which index is not known: now only the bounds of interest hold
    for units, fits in ((0, True), (100_004, True), (100_010, False), (-100_004, True), (-100_010, False)):
        there = user(spots=[spot(0, (10**9 - 5 + units) * 1_000 * ONE // (ONE + 10**6) + 1)])
        if fits:
            assert abs(ledger.unbooked(there, grown) - units) <= 1
        else:
            with pytest.raises(VenueUnavailable, match="no interest"):
                ledger.unbooked(there, grown)


def test_an_anchor_that_does_not_follow_from_what_was_told_is_not_believed():
    """A deposit that was left out of a log, or is in it twice, leaves a rest that is no interest."""
    for wrong in (50, -50, 10**9):
        ledger, index = Ledger(), at(ONE)
        ledger.opened(0)
        ledger.anchor(Anchor(0, 0, 10**6), 10**6, index, 6, leaving=False)
        with pytest.raises(VenueUnavailable, match="a transaction is missing"):
            ledger.anchor(Anchor(0, 0, 2 * 10**6 + wrong), 10**6, index, 6, leaving=False)


def test_what_lay_there_before_is_not_guessed():
    ledger, index = Ledger(), at(ONE)
    assert not ledger.knows(0, 0)
    with pytest.raises(KeyError):
        ledger.told(0, 0)
    with pytest.raises(KeyError):
        ledger.move(Move(0, 0, 1), index, 6)
    assert ledger.anchor(Anchor(0, 0, 50), 20, index, 6, leaving=False) == 0  # a beginning
    assert ledger.told(0, 0) == 50 and ledger.knows(0, 0) and not ledger.knows(0, 1) and not ledger.whole(0)
    ledger.opened(0)
    assert ledger.told(0, 0) == 0 and ledger.knows(0, 1) and ledger.whole(0)


def test_isolated_deposits_are_not_followed():
    ledger = Ledger()
    ledger.opened(0)
    with pytest.raises(VenueUnavailable, match="isolated"):
        ledger.unbooked(user(perps=[perp(isolated=5)]), spot_market())
