"""The maths of shares, by itself: tables from dYdX's formulas and by hand, laws on exact rationals, and input that means harm."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from sleeves import USD
from sleeves.errors import SleevesError
from sleeves.market import DAY, SECOND
from sleeves.money import PPM
from sleeves.quoting import QuotingParams, withdrawal_slippage
from sleeves.shares import (
    Fees,
    Lock,
    Rules,
    ShareError,
    Stake,
    Terms,
    client_named,
    draw,
    given_up,
    grown,
    issue,
    management_shares,
    performance_fee,
    price_of,
    redeemable,
)
from strategies import LooksLikeText, hostile_text, law

YEAR = 365 * DAY
PLAIN = Terms(virtual=0)
CHAIN = Terms.chain()
NO_WHOLE = [
    True,
    False,
    None,
    "5",
    "",
    5.0,
    0.1,
    float("nan"),
    float("inf"),
    float("-inf"),
    Decimal(5),
    Fraction(5),
    1j,
    b"5",
    [5],
    {},
    ...,
]
NO_NAMES = [
    "",
    " ",
    "a b",
    ".a",
    "-a",
    "@a",
    "a/b",
    "a:b",
    "a|b",
    "é",
    "١",
    "a\n",
    "a" * 65,
    "a\0",
    "\ud800",
    "lock:time:1",
    None,
    True,
    5,
    b"a",
]

units = st.one_of(st.integers(1, 9), st.integers(1, 10**12), st.integers(1, 10**30))
virtuals = st.sampled_from([0, 1, 1_000, 10**9])
ppms = st.one_of(st.sampled_from([0, 1, PPM // 5, PPM - 1]), st.integers(0, PPM - 1))
equities = st.builds(Fraction, units, st.sampled_from([1, 1, 3, 7, 10**6]))


def rule(raised) -> str:
    return raised.value.rule


# -- terms -----------------------------------------------------------------------------------------------------------------------


@st.composite
def terms(draw):
    fees = Fees(draw(ppms), draw(ppms), draw(ppms))
    name = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", fullmatch=True)
    return Terms(
        virtual=draw(st.integers(0, 10**30)),
        first_least=draw(st.integers(0, 10**30)),
        fees=fees,
        manager=draw(name),
        notice_ns=draw(st.integers(0, 90 * DAY)),
        price_age_ns=draw(st.integers(0, 10**30)),
        first_loss=draw(st.one_of(st.just(""), name)),
        rules=draw(st.sampled_from(Rules)),
    )


@law
@given(terms())
def test_terms_are_read_back_from_their_text(one):
    assert Terms.from_text(one.text()) == one
    assert Terms.from_text(one.text() | {"vault": "core:main:USD", "accrued": "0"}) == one


@law
@given(terms(), st.data())
def test_terms_with_a_line_missing_or_wrong_are_refused(one, data):
    said = one.text()
    what = data.draw(st.sampled_from(sorted(said)))
    with pytest.raises(ShareError) as raised:
        Terms.from_text({name: text for name, text in said.items() if name != what})
    assert rule(raised) == "terms"
    if what not in ("manager", "first_loss"):
        with pytest.raises(ShareError) as raised:
            Terms.from_text(said | {what: "many"})
        assert rule(raised) == "terms"


@pytest.mark.parametrize("bad", [*NO_WHOLE, -1, PPM, 10**30])
@pytest.mark.parametrize("name", ["management_ppm", "performance_ppm", "hurdle_ppm"])
def test_a_fee_is_a_whole_rate_below_one(name, bad):
    with pytest.raises(ShareError) as raised:
        Fees(**{name: bad})
    assert rule(raised) == "terms" and name in str(raised.value)
    assert getattr(Fees(**{name: PPM - 1}), name) == PPM - 1


@pytest.mark.parametrize(("name", "most"), [("virtual", None), ("first_least", None), ("notice_ns", 90 * DAY), ("price_age_ns", None)])
def test_both_sides_of_each_bound_of_terms(name, most):
    good = [0, 1, 10**30] if most is None else [0, most]
    for value in good:
        assert getattr(Terms(**{name: value}), name) == value
    for value in [*NO_WHOLE, -1, *([] if most is None else [most + 1])]:
        with pytest.raises(ShareError) as raised:
            Terms(**{name: value})
        assert rule(raised) == "terms"


@pytest.mark.parametrize("field", ["fees", "rules"])
def test_fees_and_rules_are_no_text(field):
    for bad in ("strict", "1%", None, 1, {}):
        with pytest.raises(ShareError):
            Terms(**{field: bad})


@pytest.mark.parametrize("bad", NO_NAMES)
def test_no_name_is_a_clients(bad):
    for call in (client_named, lambda name: Terms(manager=name), *([lambda name: Terms(first_loss=name)] if bad else [])):
        with pytest.raises(ShareError) as raised:
            call(bad)
        assert rule(raised) == "name"


@law
@given(hostile_text)
def test_a_name_is_taken_or_refused_and_never_changed(name):
    try:
        assert client_named(name) == name
    except ShareError as error:
        assert error.rule == "name" and len(str(error)) < 250
    else:
        assert name.isascii() and name[0].isalnum() and len(name) <= 64 and not set(name) & set(" /:|\n\0")


def test_names_that_are_names():
    for name in (
        "a",
        "9",
        "dydx1qy352euf40x77qfrg4ncn27dauqjx3t83x4ummcpzd",
        "ann@bank.example",
        "A_b-c.d",
        "x" * 64,
        LooksLikeText("ann"),
    ):
        assert client_named(name) == name


def test_terms_of_an_asset_read_amounts():
    assert Terms.of(USD, first_least="1000").first_least == USD("1000").units
    assert Terms.of(USD) == Terms()
    assert Terms.chain() == Terms(virtual=0, rules=Rules.CHAIN)
    assert Fees.of(management="2%", performance="0.2", hurdle="5%") == Fees(20_000, 200_000, 50_000)
    assert str(Fees.of(management="2%", hurdle="0.5%")) == "management 2%, hurdle 0.5%" and str(Fees()) == "none"
    for bad in (0.02, 2, "two", "nan", "100%", "-1%"):
        with pytest.raises(SleevesError):
            Fees.of(management=bad)


@law
@given(terms(), terms())
def test_what_holds_at_once_is_never_worse_than_either_side_of_the_change(now, new):
    new = evolve(new, virtual=now.virtual, rules=now.rules, manager=now.manager, first_least=now.first_least, first_loss=now.first_loss)
    at_once = now.gentler(new)
    for one in (now, new):
        assert at_once.fees.management_ppm <= one.fees.management_ppm
        assert at_once.fees.performance_ppm <= one.fees.performance_ppm
        assert at_once.fees.hurdle_ppm >= one.fees.hurdle_ppm
        assert at_once.notice_ns <= one.notice_ns
    assert at_once.price_age_ns == now.price_age_ns, "an age of 0 at once would keep everybody in"
    assert at_once.gentler(now) == at_once if new.price_age_ns == now.price_age_ns else True
    assert now.gentler(now) == now


def test_what_is_worse_waits_twice_the_notice_and_a_week_at_least():
    assert Terms().change_rest_ns == 7 * DAY
    assert Terms(notice_ns=7 * DAY // 2).change_rest_ns == 7 * DAY
    assert Terms(notice_ns=7 * DAY // 2 + 1).change_rest_ns == 7 * DAY + 2
    assert Terms(notice_ns=90 * DAY).change_rest_ns == 180 * DAY


def test_a_lock_is_over_at_its_time_on_its_own_clock():
    lock = Lock("lock:time:10:1", 5, 10)
    assert [lock.over(now, "time") for now in (9, 10, 11)] == [False, True, True]
    assert not lock.over(11, "height")


# -- coming ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("money", "total", "equity", "virtual", "shares"),
    [
        # dYdX: trunc(money x shares / equity), the first one a share for a unit whatever is there
        (1, 0, 0, 0, 1),
        (1_000, 0, 5_000, 0, 1_000),
        (1_000, 500, 1_000, 0, 500),
        (999, 3, 1_000, 0, 2),
        (334, 3, 1_000, 0, 1),
        (10**30, 10**30, 10**30, 0, 10**30),
        # with v virtual shares over v units: trunc(money x (shares + v) / (equity + v))
        (1, 0, 0, 1_000, 1),
        (1_000, 0, 1_000, 1_000, 500),
        (1_000, 1_000, 1_000, 1_000, 1_000),
        (1_000, 1_000, 3_000, 1_000, 500),
        (1_000, 1_000, 500, 1_000, 1_333),
        (1_999 * 10**6, 1, 10**9 + 1, 1_000, 2_000),
    ],
)
def test_shares_that_are_issued(money, total, equity, virtual, shares):
    assert issue(money, total, Fraction(equity), Terms(virtual=virtual)) == shares


@pytest.mark.parametrize("bad", [*NO_WHOLE, 0, -1, -(10**30)])
def test_a_deposit_is_whole_units_above_zero(bad):
    for total in (0, 100):
        with pytest.raises(ShareError) as raised:
            issue(bad, total, Fraction(100), Terms())
        assert rule(raised) == "amount"


def test_both_sides_of_the_least_first_deposit():
    least = Terms(first_least=1_000)
    assert issue(1_000, 0, Fraction(0), least) == 1_000
    with pytest.raises(ShareError) as raised:
        issue(999, 0, Fraction(0), least)
    assert rule(raised) == "first"
    assert issue(1, 1, Fraction(1), least) == 1, "it binds the first alone"


@pytest.mark.parametrize("virtual", [0, 1_000])
def test_both_sides_of_one_share(virtual):
    given_terms = Terms(virtual=virtual)
    total, equity = 1_000, Fraction(1_000_000 + 999 * virtual)  # a share costs 1000
    assert issue(1_000, total, equity, given_terms) == 1
    with pytest.raises(ShareError) as raised:
        issue(999, total, equity, given_terms)
    assert rule(raised) == "zero_shares"


@pytest.mark.parametrize("equity", [Fraction(0), Fraction(-1), Fraction(-1, 3), Fraction(-(10**30))])
def test_nobody_comes_into_a_pool_that_is_worth_nothing(equity):
    for one in (Terms(), PLAIN, CHAIN):
        with pytest.raises(ShareError) as raised:
            issue(100, 100, equity, one)
        assert rule(raised) == "equity"
    if equity < 0:  # with no shares out, a deposit would pay the debts of those who left; the chain takes it
        for one in (Terms(), PLAIN):
            with pytest.raises(ShareError) as raised:
                issue(100, 0, equity, one)
            assert rule(raised) == "equity"
        assert issue(100, 0, equity, CHAIN) == 100
    else:
        assert issue(100, 0, equity, Terms()) == issue(100, 0, equity, PLAIN) == 100


# -- worth -----------------------------------------------------------------------------------------------------------------------


@law
@given(units, equities, virtuals, units)
def test_who_comes_or_leaves_never_lowers_the_price(total, equity, virtual, money):
    one = Terms(virtual=virtual)
    price = price_of(total, equity, one)
    assert total * price <= equity
    try:
        shares = issue(money, total, equity, one)
    except ShareError as error:
        assert error.rule == "zero_shares"
        assert money * (total + virtual) < equity + virtual
    else:
        after = price_of(total + shares, equity + money, one)
        assert after >= price
        assert int(shares * after) <= money, "he cannot have back more than he brought"
        assert (shares + 1) * (equity + virtual) > money * (total + virtual), "nor is he robbed of a whole share"
    gone = min(money, total)
    paid = int(gone * price)
    if gone < total:
        assert price_of(total - gone, equity - paid, one) >= price


@law
@given(units, units, equities, virtuals)
def test_what_is_redeemable_is_the_price_of_each_share_and_never_more_than_a_plain_part(shares, more, equity, virtual):
    total, one = shares + more, Terms(virtual=virtual)
    part = redeemable(shares, total, equity, one)
    assert part == shares * price_of(total, equity, one) / equity
    assert 0 < part <= Fraction(shares, total)
    assert part == Fraction(shares, total) if equity <= total or not virtual else part < Fraction(shares, total)


@pytest.mark.parametrize("equity", [Fraction(0), Fraction(-7), Fraction(-1, 3)])
def test_a_pool_that_is_worth_nothing_is_shared_plainly(equity):
    assert redeemable(1, 3, equity, Terms()) == Fraction(1, 3)
    assert price_of(3, equity, Terms()) == equity / 3


@law
@given(units, virtuals, units)
def test_who_is_early_with_one_unit_and_gives_money_away_gets_back_less_than_he_gave(money, virtual, gift):
    """The first depositor's attack: with virtual shares he loses, whoever comes after him; nearly all of his gift is nobody's."""
    assume(virtual)
    one = Terms(virtual=virtual)
    shares = issue(1, 0, Fraction(0), one)
    equity, total = Fraction(1 + gift), shares
    try:
        victim = issue(money, total, equity, one)
    except ShareError:
        victim = 0
    else:
        equity, total = equity + money, total + victim
        paid = victim * price_of(total, equity, one)
        assert money - paid <= price_of(total, equity, one) + 1, "the victim loses no more than a share"
    back = int(shares * price_of(total, equity, one))
    assert back < 1 + gift


def test_without_virtual_shares_that_attack_pays():
    """Why they are there: one unit, then a gift of half of what the victim brings, and the attacker leaves with more than he gave."""
    gift, money = 1_000, 1_999
    shares = issue(1, 0, Fraction(0), PLAIN)
    victim = issue(money, shares, Fraction(1 + gift), PLAIN)
    assert victim == 1
    back = int(shares * price_of(2, Fraction(1 + gift + money), PLAIN))
    assert back == 1_500 > 1 + gift


@law
@given(units, equities, st.fractions(0, 1), virtuals)
def test_shares_that_are_given_up_leave_the_price_of_the_others(total, before, part, virtual):
    one = Terms(virtual=virtual)
    after = before * part
    price, gone = price_of(total, before, one), given_up(total, before, after, one)
    assert 0 <= gone <= total
    if gone < total and after > 0:
        assert price_of(total - gone, after, one) <= price, "the others do not gain"
    if gone + 1 < total and after > 0:
        assert price_of(total - gone - 1, after, one) >= price, "and one share more would be too many"
    assert given_up(total, before, Fraction(0), one) == given_up(total, before, Fraction(-5), one) == total
    assert given_up(total, before, before, one) == 0


# -- leaving ---------------------------------------------------------------------------------------------------------------------

STEADY = QuotingParams()
WIDE = QuotingParams(spread_min_ppm=900_000)


@law
@given(
    st.fractions(-(10**12), 10**12),
    st.lists(st.tuples(st.fractions(-(10**9), 10**12), st.fractions(0, 20), st.one_of(st.none(), st.integers(-5, 10**9))), max_size=4),
    units,
    units,
    st.sampled_from(Rules),
    virtuals,
)
def test_nobody_draws_more_than_his_part(main, subs, shares, more, rules, virtual):
    total = shares + more
    stakes = [Stake(f"s{n}", worth, lever, lever / 20, most) for n, (worth, lever, most) in enumerate(subs)]
    equity = main + sum(max(Fraction(0), one.equity) if rules is Rules.CHAIN else one.equity for one in stakes)
    assume(equity > 0)
    part = redeemable(shares, total, equity, Terms(virtual=virtual, rules=rules))
    drawn = draw(main, stakes, part, shares, total, rules)
    assert drawn[0].name == "" and all(type(one.units) is int for one in drawn)
    chained = rules is Rules.CHAIN and main < 0  # the chain truncates a negative main account toward zero
    assert sum(one.units for one in drawn) <= equity * part + (1 if chained else 0)
    by_name = {one.name: one for one in drawn}
    for stake in stakes:
        if stake.equity <= 0:
            assert by_name.get(stake.name) is None or by_name[stake.name].units == 0
            continue
        one = by_name[stake.name]
        whole, due = int(stake.equity * part), max(0, int(stake.equity * part * (1 - one.slippage)))
        assert 0 <= one.units <= due
        lacks = due == 0 if one.slippage >= 1 else due > 0 and stake.payable is not None and stake.payable < whole
        assert one.units + one.short == (whole if rules is Rules.STRICT and lacks else due)
        assert stake.payable is None or one.units <= max(0, stake.payable)
        assert bool(one.why) is (one.units < due or due == 0 or bool(one.short))
        if rules is Rules.CHAIN:
            assert one.units in (0, due)


def test_what_cannot_be_read_stops_a_strict_pool_and_is_passed_over_on_the_chain():
    stakes = [Stake("dark", None), Stake("lit", Fraction(900))]
    with pytest.raises(ShareError, match="dark") as raised:
        draw(Fraction(100), stakes, Fraction(1, 2), 1, 2, Rules.STRICT)
    assert rule(raised) == "price"
    main, dark, lit = draw(Fraction(100), stakes, Fraction(1, 2), 1, 2, Rules.CHAIN)
    assert (main.units, dark.units, lit.units) == (50, 0, 450) and "not known" in dark.why


def test_a_sub_vault_below_zero_is_everybodys_in_a_strict_pool_and_nobodys_on_the_chain():
    stakes = [Stake("debt", Fraction(-40)), Stake("lit", Fraction(900))]
    assert [one.units for one in draw(Fraction(100), stakes, Fraction(1, 2), 1, 2, Rules.STRICT)] == [30, 450]
    assert [one.units for one in draw(Fraction(100), stakes, Fraction(1, 2), 1, 2, Rules.CHAIN)] == [50, 0, 450]
    assert draw(Fraction(-3), [], Fraction(1, 2), 1, 2, Rules.STRICT)[0].units == -2, "rounded against who leaves"
    assert draw(Fraction(-3), [], Fraction(1, 2), 1, 2, Rules.CHAIN)[0].units == -1, "the chain truncates"


@pytest.mark.parametrize(("payable", "units", "short"), [(None, 450, 0), (450, 450, 0), (449, 449, 1), (0, 0, 450), (-7, 0, 450)])
def test_both_sides_of_what_a_sub_vault_can_pay(payable, units, short):
    _, one = draw(Fraction(0), [Stake("lit", Fraction(900), payable=payable)], Fraction(1, 2), 1, 2, Rules.STRICT)
    assert (one.units, one.short) == (units, short) and bool(one.why) is bool(short)
    _, one = draw(Fraction(0), [Stake("lit", Fraction(900), payable=payable)], Fraction(1, 2), 1, 2, Rules.CHAIN)
    assert one.units == (450 if not short else 0)


def test_who_takes_all_shares_pays_no_slippage_and_is_told_of_what_cannot_be_paid():
    """Nobody is left to whom it could be paid: what the positions are worth must be there in coins, or it is short."""
    coins = Stake("lit", Fraction(1_000), Fraction(1, 2), Fraction(1, 2), payable=500)
    _, whole = draw(Fraction(0), [coins], Fraction(1), 10, 10, Rules.STRICT)
    assert (whole.slippage, whole.units, whole.short) == (0, 500, 500)
    _, nearly = draw(Fraction(0), [coins], Fraction(9_999, 10_000), 9_999, 10_000, Rules.STRICT)
    assert nearly.slippage > 0 and nearly.units <= 500 and nearly.units + nearly.short == 999
    _, half = draw(Fraction(0), [coins], Fraction(1, 2), 1, 2, Rules.STRICT)
    assert half.slippage > 0 and half.short == 0 and half.units == int(500 * (1 - half.slippage))
    eaten = Stake("lit", Fraction(1_000), Fraction(20), Fraction(20), payable=1_000, quoting=WIDE)
    _, gone = draw(Fraction(0), [eaten], Fraction(1, 2), 1, 2, Rules.STRICT)
    assert (gone.units, gone.short, gone.why) == (0, 500, "its slippage takes it all")


def test_slippage_is_dydx_s():
    """Leverage 2, 10% of the shares, initial margin 5%, the defaults: spread x (1 + average skew) x l, or l x margin."""
    _, one = draw(Fraction(0), [Stake("lit", Fraction(1_000_000), Fraction(2), Fraction(1, 10))], Fraction(1, 10), 1, 10, Rules.STRICT)
    exact = withdrawal_slippage(Fraction(2), 1, 10, 50_000, STEADY, 0)
    assert one.slippage == exact and one.units == int(100_000 * (1 - exact))
    _, all_of_it = draw(Fraction(0), [Stake("lit", Fraction(1_000_000), Fraction(2), Fraction(1, 10))], Fraction(1), 10, 10, Rules.CHAIN)
    assert all_of_it.slippage == Fraction(1, 10) and all_of_it.units == 900_000
    _, none = draw(Fraction(0), [Stake("lit", Fraction(1_000_000), Fraction(2), Fraction(2))], Fraction(1), 10, 10, Rules.CHAIN)
    assert none.units == 0 and none.short == 0 and none.why == "its slippage takes it all"
    _, dust = draw(Fraction(0), [Stake("lit", Fraction(1))], Fraction(1, 10), 1, 10, Rules.STRICT)
    assert dust.units == 0 and dust.why == "less than a unit"


# -- fees ------------------------------------------------------------------------------------------------------------------------


@law
@given(units, ppms, st.integers(-(10**9), 3 * YEAR))
def test_a_management_fee_is_that_part_of_the_pool(total, rate, elapsed):
    shares = management_shares(total, rate, elapsed)
    part = min(Fraction(rate * max(0, elapsed), PPM * YEAR), Fraction(1, 2))
    assert 0 <= shares <= total
    assert Fraction(shares, total + shares) <= part, "never more than its rate"
    assert Fraction(shares + 1, total + shares + 1) > part, "nor a whole share less"


@law
@given(st.integers(10**9, 10**18), st.integers(1, 100_000), st.integers(2, 60))
def test_a_fee_in_many_parts_is_no_more_than_the_rate_of_a_year_and_hardly_less(total, rate, steps):
    now, manager = total, 0
    for n in range(steps):
        minted = management_shares(now, rate, YEAR * (n + 1) // steps - YEAR * n // steps)
        now, manager = now + minted, manager + minted
    taken, once = Fraction(manager, now), Fraction(rate, PPM)
    assert taken <= once
    assert taken >= once - once * once / 2 - Fraction(2 * steps, total), "1 - e^-f at least"


def test_time_that_goes_backwards_costs_nothing():
    assert management_shares(10**9, 20_000, -YEAR) == 0
    assert grown(100, 50_000, -YEAR) == 100
    assert management_shares(10**9, PPM - 1, 10**30) == 10**9, "half of the pool at most"


@law
@given(equities, units, ppms)
def test_a_performance_fee_is_never_below_zero_and_never_more_than_its_rate_of_the_gain(worth, basis, rate):
    fee = performance_fee(worth, basis, rate)
    assert fee == max(Fraction(0), worth - basis) * rate / PPM
    assert 0 <= fee <= max(Fraction(0), worth - basis)
    assert performance_fee(Fraction(basis), basis, rate) == performance_fee(Fraction(basis) - Fraction(1, 9), basis, rate) == 0


@law
@given(units, ppms, st.integers(0, 3 * YEAR))
def test_a_hurdle_is_rounded_up(basis, rate, elapsed):
    exact = basis * (1 + Fraction(rate * elapsed, PPM * YEAR))
    assert exact <= grown(basis, rate, elapsed) < exact + 1


def test_a_hurdle_of_five_percent_a_year():
    assert grown(1_000_000, 50_000, YEAR) == 1_050_000
    assert grown(1_000_000, 50_000, YEAR // 2) == 1_025_000
    assert grown(1, 50_000, SECOND) == 2
