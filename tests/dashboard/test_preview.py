"""What a preview says is what the deed then does, and looking leaves no trace."""

from __future__ import annotations

from itertools import count

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand import PERP, SPOT, make_desk

from helpers import Puppet, fill
from sleeves import QUIET, USD, CoreVault, Desk, Place
from sleeves.control import Control
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import plain
from sleeves.dashboard.preview import LOOKS, READY, STOPS, Sheet, look
from sleeves.engines import Trend
from sleeves.errors import VaultError
from sleeves.gates import DailyLoss, Drawdown
from sleeves.instructions import INSTRUCTIONS, Code, from_terms
from sleeves.margin import health_bp
from sleeves.megavault import Megavault
from sleeves.money import Rounding, decimal_text
from sleeves.orders import Fill, Liquidity, Side
from sleeves.policy import FLASH
from sleeves.shell import carry
from sleeves.sim import Tape, VirtualDriver
from strategies import heavy

VAULT = "core:main:USD"


def said(what, request="r-1", **terms):
    """An instruction by ann."""
    return from_terms({"what": what, "id": request, "by": "ann", **terms})


@pytest.fixture
def stand():
    """Two hundred hours played: positions in coins and contracts, orders that rest, refusals."""
    stand = make_desk(engines=3, contracts=True, hostile=True)
    stand.play(200)
    return stand


@pytest.fixture
def strained():
    """The same with fewer sleeves: the account's health is below 80."""
    stand = make_desk(engines=0, contracts=True)
    stand.play(120)
    return stand


def control_of(stand):
    return Control(stand.desk, stand.venue)


async def drained(stand):
    """Have the desk hear what the venue answered at once."""
    while stand.venue._waiting:
        await carry(stand.desk, list(stand.desk.step(stand.venue._waiting.popleft())), stand.venue)


def done(stand, instruction):
    """The deed, and what it was answered."""

    async def main():
        answer = await control_of(stand).do(instruction)
        await drained(stand)
        return answer

    return anyio.run(main)


def seen(stand, instruction):
    return look(stand.desk, control_of(stand).venues, instruction)


def everything(stand):
    """All that could change: the picture, the journal, and what gates and views remember."""
    desk = stand.desk
    memory = {
        name: (seat.view.watched(), seat.view._last_exit, tuple(seat.view._sent), seat.view.now, seat.counter, seat.refused)
        for name, seat in desk._seats.items()
    }
    picture = plain(Feed(desk, session="s").snapshot().tables)
    return picture, desk.books.journal.digest(), memory, list(stand.venue.exchange.outbox), list(stand.venue._waiting), desk.books.now


# -- every instruction, as it may be meant well or not ---------------------------------------------------------------------

ASKED = [
    said("start", sleeve="flash"),
    said("start", sleeve="nobody"),
    said("stop", sleeve="flash"),
    said("deposit", vault=VAULT, amount="1000"),
    said("deposit", vault=VAULT, amount="0"),
    said("deposit", vault="core:main:EUR", amount="5"),
    said("deposit", vault=VAULT, amount="5", venue="elsewhere"),
    said("withdraw", vault=VAULT, amount="10"),
    said("withdraw", vault=VAULT, amount="99999999"),
    said("withdraw", vault=VAULT, amount="0.0000001"),
    said("allocate", sleeve="quiet", amount="100"),
    said("allocate", sleeve="wave-0", amount="100"),
    said("allocate", sleeve="swing", amount="99999999"),
    said("reclaim", sleeve="quiet", amount="1"),
    said("reclaim", sleeve="quiet", amount="99999999"),
    said("set_tradeable", vault=VAULT, amount="30000"),
    said("set_tradeable", vault=VAULT, amount="99999999"),
    said("set_tradeable", vault=VAULT, amount="30000", cap="20000"),
    said("open", sleeve="quiet", market="BTC/USD", side="buy", qty="0.01"),
    said("open", sleeve="quiet", market="BTC/USD", side="buy", qty="0.01", limit="4000"),
    said("open", sleeve="quiet", market="BTC/USD", side="buy", qty="0.000000001"),
    said("open", sleeve="quiet", market="BTC/USD", side="sell", qty="500"),
    said("open", sleeve="quiet", market="BTC/USD", side="buy", qty="500"),
    said("open", sleeve="swing", market="BTC-PERP", side="buy", qty="0.1"),
    said("open", sleeve="swing", market="BTC-PERP", side="sell", qty="1000"),
    said("open", sleeve="swing", market="ETH-PERP", side="sell", qty="1"),
    said("open", sleeve="nobody", market="BTC/USD", side="buy", qty="0.01"),
    said("close", sleeve="swing", market="BTC-PERP"),
    said("close", sleeve="carry", market="BTC-PERP"),
    said("close", sleeve="carry", market="BTC/USD"),
    said("close_all", target="swing"),
    said("close_all", target=VAULT),
    said("close_all", target="nobody"),
    said("cancel", order="rest-1"),
    said("cancel", order="rest-999"),
    said("settle", market="BTC-PERP"),
    said("settle", market="BTC/USD"),
    said("rebalance", sleeve="wave-0"),
    said("rebalance", sleeve="nobody"),
    said("pause", target="swing"),
    said("pause", target="desk:main"),
    said("resume", target="swing"),
    said("kill", target="swing", flatten=True),
    said("kill", target="desk:main", flatten=False),
    said("kill", target="core:main:EUR", flatten=True),
    said("revive", target="swing"),
    said("revive", target="swing", why="by mistake"),
    said("arm", venue="sim", per_hour="1000", phrase="arm sim for 1000 USD an hour"),
    said("arm", venue="sim", per_hour="1000", phrase="please"),
    said("arm", venue="sim", per_hour="1000 EUR", phrase="please"),
    said("disarm", venue="sim"),
    said("confirm", confirmation="c-1"),
    said("decline", confirmation="c-1"),
]


def name_of(instruction):
    terms = {name: value for name, value in vars_of(instruction).items() if name not in ("id", "by", "why") and value}
    return " ".join([type(instruction).__name__, *map(str, terms.values())])


def vars_of(instruction):
    from sleeves.instructions import to_terms

    return {name: value for name, value in to_terms(instruction).items() if name != "what"}


def test_every_kind_of_instruction_is_looked_at():
    assert set(LOOKS) == set(INSTRUCTIONS.values())
    assert {type(one) for one in ASKED} == set(INSTRUCTIONS.values())
    assert set(STOPS) < set(INSTRUCTIONS.values())


@pytest.mark.slow
@pytest.mark.parametrize("instruction", ASKED, ids=name_of)
def test_a_look_leaves_no_trace_and_says_what_the_deed_is_answered(instruction, stand):
    before = everything(stand)
    found = seen(stand, instruction)
    assert everything(stand) == before
    assert seen(stand, instruction) == found, "a second look says the same"
    assert found.ok is (found.code == READY)
    assert set(found.after) >= set(found.before) or not found.ok
    answer = done(stand, instruction)
    if found.ok:
        assert answer.ok, f"it was to be ready, and was answered {answer}"
    else:
        assert found.code == answer.code.value, f"{found} against {answer}"


def test_looks_never_wear_out_a_gate_that_remembers():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    sleeve = vault.sleeve("flash", FLASH, allocate="5000")
    desk.assign(Trend.flash(SPOT), to=sleeve, gates=[DailyLoss.of("5%"), Drawdown.of("10%")])
    desk.quote(desk.index(SPOT), 10**18, SPOT.price("5000"), SPOT.price("5000"))
    view = desk._seats["flash"].view
    before = view.watched(), view.now
    found = look(desk, {"sim": make_desk().venue}, said("open", sleeve="flash", market="BTC/USD", side="buy", qty="0.01"))
    assert found.ok
    assert (view.watched(), view.now) == before


NAMES = st.sampled_from(["quiet", "flash", "wave-0", "swing", "carry", "rest", "nobody"])
TARGETS = st.one_of(NAMES, st.sampled_from([VAULT, "desk:main", "core:main:EUR"]))
MARKETS = st.sampled_from(["BTC/USD", "BTC-PERP", "ETH/USD"])
AMOUNTS = st.sampled_from(["0", "0.000001", "0.001", "0.01", "1", "12.5", "1000", "5000", "40000", "99999999", "0.0000000001"])
WISHES = st.one_of(
    st.fixed_dictionaries({"what": st.sampled_from(["allocate", "reclaim"]), "sleeve": NAMES, "amount": AMOUNTS}),
    st.fixed_dictionaries({"what": st.sampled_from(["deposit", "withdraw", "set_tradeable"]), "vault": st.just(VAULT), "amount": AMOUNTS}),
    st.fixed_dictionaries(
        {"what": st.just("open"), "sleeve": NAMES, "market": MARKETS, "side": st.sampled_from(["buy", "sell"]), "qty": AMOUNTS},
        optional={"limit": st.sampled_from(["1", "4000", "6000.01", "0.001"]), "reduce_only": st.booleans(), "post_only": st.booleans()},
    ),
    st.fixed_dictionaries({"what": st.just("close"), "sleeve": NAMES, "market": MARKETS}),
    st.fixed_dictionaries({"what": st.sampled_from(["close_all", "pause", "resume"]), "target": TARGETS}),
    st.fixed_dictionaries({"what": st.sampled_from(["start", "stop", "rebalance"]), "sleeve": NAMES}),
    st.fixed_dictionaries({"what": st.just("kill"), "target": TARGETS, "flatten": st.booleans()}),
)


@pytest.fixture(scope="module")
def kept():
    """A stand that no example changes: only what is refused is done."""
    stand = make_desk(engines=3, contracts=True)
    stand.play(120)
    return stand


@heavy
@given(terms=WISHES)
def test_whatever_is_asked_a_look_answers_leaves_no_trace_and_what_it_refuses_the_deed_refuses(kept, terms):
    control = Control(kept.desk, kept.venue, clock=lambda: float(next(TICKS)))
    instruction = said(request=f"r-{next(REQUESTS)}", **terms)
    memory = everything(kept)
    found = look(kept.desk, control.venues, instruction)
    assert everything(kept) == memory
    assert found.code != Code.INTERNAL.value
    if not found.ok:
        answer = anyio.run(control.do, instruction)
        assert answer.code.value == found.code, (terms, found, answer)


REQUESTS, TICKS = count(), count()


class Broken:
    """An allowance with a bug."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)


def test_a_bug_in_what_the_desk_was_handed_is_told_as_one(caplog):
    stand = make_desk(engines=2, contracts=False)
    stand.play(3)
    stand.desk.allowance = Broken()
    found = seen(stand, said("open", sleeve="quiet", market="BTC/USD", side="buy", qty="0.01"))
    assert found.code == Code.INTERNAL.value
    assert not found.may_be_sent
    assert any(record.exc_info for record in caplog.records)


# -- numbers ---------------------------------------------------------------------------------------------------------------


def test_coins_before_and_after_are_those_of_the_deed(stand):
    vault = stand.vault
    quiet = stand.sleeves["quiet"]
    cases = (
        (said("deposit", "m-1", vault=VAULT, amount="1234.56"), {"idle": vault, "total": vault, "tradeable": vault}),
        (said("deposit", "m-1b", vault=VAULT, amount="60000"), {"idle": vault, "reserve": vault, "tradeable": vault, "total": vault}),
        (said("withdraw", "m-2", vault=VAULT, amount="100"), {"idle": vault, "remaining": vault}),
        (said("withdraw", "m-2b", vault=VAULT, amount="61000"), {"idle": vault, "remaining": vault}),
        (said("allocate", "m-4", sleeve="quiet", amount="77"), {"allocation": quiet, "pending": quiet, "free": quiet, "remaining": vault}),
        (said("reclaim", "m-5", sleeve="quiet", amount="12"), {"free": quiet, "pending": quiet}),
        (said("set_tradeable", "m-3", vault=VAULT, amount="40000"), {"tradeable": vault}),
    )
    for instruction, places in cases:
        found = seen(stand, instruction)
        assert found.ok, found
        checked = [name for name in places if name in found.before]
        assert checked
        for name in checked:
            assert found.before[name] == str(getattr(places[name], name)), (instruction, name)
        assert done(stand, instruction).ok
        for name in checked:
            assert found.after[name] == str(getattr(places[name], name)), (instruction, name)


def test_a_deposit_is_in_total_and_idle_when_the_venue_says_so(stand):
    found = seen(stand, said("deposit", vault=VAULT, amount="500"))
    assert found.numbers["amount"] == "500 USD"
    total = stand.vault.total
    assert found.before["total"] == str(total)
    assert done(stand, said("deposit", vault=VAULT, amount="500")).ok
    assert found.after["total"] == str(stand.vault.total) == str(total + USD("500"))


def test_new_coins_make_good_what_is_missing_and_the_look_says_so():
    stand = make_desk(engines=2, contracts=False)
    stand.play(30)
    vault = stand.vault
    stand.desk.observe_balance(vault, vault.coins - vault.idle - vault.reserve - USD("50"))
    assert vault.suspense < USD("0")
    found = seen(stand, said("deposit", vault=VAULT, amount="200"))
    missing = vault.suspense
    assert any("make that good first" in warning for warning in found.warnings)
    assert found.before["suspense"] == str(missing)
    assert done(stand, said("deposit", vault=VAULT, amount="200")).ok
    for name in ("suspense", "idle", "tradeable"):
        assert found.after[name] == str(getattr(vault, name)), name


def test_an_order_says_what_it_is_worth_and_what_it_does_to_the_account(strained):
    desk, sleeve = strained.desk, strained.sleeves["swing"]
    found = seen(strained, said("open", sleeve="swing", market="BTC-PERP", side="buy", qty="0.1"))
    book = desk._boards["BTC-PERP"]
    cost = PERP.cost(book.ask, PERP.qty("0.1"), Rounding.CEIL)
    assert found.numbers["notional"] == str(USD.units(cost))
    assert found.numbers["price"] == f"{PERP.price_text(book.ask)} USD"
    what = desk.what_if(Place(PERP, Side.BUY, PERP.qty("0.1")), sleeve)
    for told, footing in ((found.before, what.before), (found.after, what.after)):
        assert told["health"] == decimal_text(footing.joint.health_bp, 2)
        assert told["liquidated_at"] == f"{footing.joint.liquidation['BTC-PERP']} USD"
        assert told["sleeve_health"] == decimal_text(footing.sleeves["swing"].health_bp, 2)
        assert told["leverage"].endswith("x")
    assert found.before["position"] == str(sleeve.position(PERP))
    assert found.before["liquidated_at"] != found.after["liquidated_at"]


@pytest.mark.parametrize("target", ["swing", "carry", "desk:main"])
def test_the_health_after_closing_is_what_closing_at_the_marks_leads_to(stand, target):
    desk = stand.desk
    found = seen(stand, said("kill", target=target, flatten=True))
    assert found.ok
    assert found.before["health"] == plain_bp(desk)
    for name, sleeve in stand.sleeves.items():
        if target in (name, "desk:main"):
            for market, amount in sleeve.positions().items():
                if market.contract is not None:
                    desk.step(closing(desk, stand, sleeve, market, amount))
    assert found.after["health"] == plain_bp(desk)


def plain_bp(desk):
    from sleeves.money import decimal_text

    return decimal_text(health_bp(desk.account(desk.treasury.vaults[0])), 2)


def closing(desk, stand, sleeve, market, amount):
    """A fill that closes a slice at its mark, without a fee."""
    (submit,) = desk.close(sleeve, market, by="ann")
    mark = desk.marks()[market.symbol]
    side = Side.SELL if amount.units > 0 else Side.BUY
    cost = market.cost(mark.price, abs(amount.units), Rounding.FLOOR if side is Side.SELL else Rounding.CEIL)
    name, none = submit.order.id, USD.units(0)
    return Fill(name, desk.books.now, market, side, abs(amount.units), mark.price, cost, none, Liquidity.TAKER, f"t-{name}")


def resting_exit():
    """A stand whose sleeve `rest` has a position that an exit at a limit is to close."""
    stand = make_desk(1, rows=300)
    while not any(order.sleeve == "rest" and order.place.side is Side.SELL for order in stand.desk.open_orders()):
        assert stand.play(1)
    (order,) = [order for order in stand.desk.open_orders() if order.sleeve == "rest"]
    return stand, order


def test_close_all_does_not_promise_what_an_exit_does_already():
    stand, order = resting_exit()
    wish = said("close_all", target="rest")
    found, answer = seen(stand, wish), done(stand, wish)
    assert (found.ok, found.code) == (False, answer.code.value)
    assert found.numbers["positions"] == "0"
    assert "worth" not in found.numbers
    price = SPOT.price_text(order.place.limit)
    assert f"{order.id} at {price} does already; cancel that first" in found.message
    wider = seen(stand, said("close_all", target="desk:main"))
    assert wider.ok
    held = sum(len(sleeve.positions()) for sleeve in stand.sleeves.values())
    assert wider.numbers["positions"] == str(held - 1)
    assert "rest BTC/USD" not in wider.numbers
    assert wider.message.endswith("at market; 1 stay")
    assert any("rest BTC/USD is not closed at market" in words and order.id in words for words in wider.warnings)


def test_close_all_says_how_much_an_exit_leaves_to_be_closed():
    stand, order = resting_exit()
    sleeve = stand.sleeves["rest"]
    part = Place(SPOT, Side.SELL, order.place.qty // 4, limit=order.place.limit, post_only=True)
    stand.carry(stand.desk.cancel_all(sleeve))
    stand.play(1)
    assert not [one for one in stand.desk.open_orders() if one.sleeve == "rest"]
    stand.carry(stand.desk.order(sleeve, part, by="ann"))
    wish = said("close_all", target="rest")
    found = seen(stand, wish)
    left = sleeve.position_units(SPOT) - part.qty
    assert found.ok
    value = USD.units(SPOT.cost(stand.desk.marks()[SPOT.symbol].price, left, Rounding.FLOOR))
    assert found.numbers["rest BTC/USD"] == f"{SPOT.qty_text(left)} BTC, worth {value}"
    assert any(f"only {SPOT.qty_text(left)} BTC goes at market" in words for words in found.warnings)
    known = {one.id for one in stand.desk.open_orders()}
    assert done(stand, wish).ok
    (sent,) = [one for one in stand.desk.open_orders() if one.id not in known]
    assert sent.place.qty == left


def test_a_kill_says_what_each_position_is_worth(stand):
    found = seen(stand, said("kill", target="desk:main", flatten=True))
    marks, worth, count = stand.desk.marks(), USD("0"), 0
    for sleeve in stand.sleeves.values():
        for market, amount in sleeve.positions().items():
            value = USD.units(abs(market.cost(marks[market.symbol].price, amount.units, Rounding.FLOOR)))
            assert found.numbers[f"{sleeve.name} {market.symbol}"] == f"{amount}, worth {value}"
            worth, count = worth + value, count + 1
    assert count >= 3
    assert found.numbers["positions"] == str(count)
    assert found.numbers["worth"] == str(worth)
    assert found.before["status"] == "active"
    assert found.after["status"] == "halted"


def test_health_that_would_be_too_low_refuses_a_withdrawal_and_says_so(strained):
    order = said("withdraw", vault=VAULT, amount="4000")
    found, answer = seen(strained, order), done(strained, order)
    assert answer.code is Code.HEALTH
    assert found.code == Code.HEALTH.value
    assert (found.before["health"], found.after["health"]) == (answer.evidence["health"], answer.evidence["health_after"])
    assert any("nothing can be withdrawn" in warning for warning in found.warnings)


def test_old_prices_are_warned_of(stand):
    desk = stand.desk
    desk.pass_time(desk.books.now + 10 * 3_600 * 10**9)
    found = seen(stand, said("open", sleeve="swing", market="BTC-PERP", side="buy", qty="0.1"))
    assert not found.ok
    assert any("s old" in warning for warning in found.warnings)
    assert "health" not in found.after, "what is not known is left out"
    assert any("not known" in warning for warning in found.warnings)


def test_low_health_is_warned_of(strained):
    whole = sum(sleeve.position_units(PERP) for sleeve in strained.sleeves.values())
    side = "buy" if whole > 0 else "sell"
    found = seen(strained, said("open", sleeve="carry", market="BTC-PERP", side=side, qty="8"))
    assert float(found.after["health"]) < 50
    assert any(warning.startswith("health would be") and "poor" in warning for warning in found.warnings)


def test_a_health_is_cut_off_and_never_told_a_step_higher(strained):
    """79.6 is not 80: nothing can be withdrawn at it, and the words about it say so."""
    account = strained.desk.account(strained.vault)
    found = seen(strained, said("open", sleeve="swing", market="BTC-PERP", side="buy", qty="0.001"))
    assert found.before["health"] == decimal_text(health_bp(account), 2) and "." in found.before["health"]
    sheet = Sheet(strained.desk, None)
    for health, words in ((79.99, "withdrawn"), (80.0, ""), (49.99, "poor"), (19.99, "critical")):
        sheet.warnings.clear()
        sheet.warn_of(health)
        assert (words in sheet.warnings[0] and f"{health:g}" in sheet.warnings[0]) if words else not sheet.warnings


@pytest.mark.parametrize(("policy", "word"), [(FLASH, "goes back to the vault"), (QUIET, "is set aside")])
def test_a_close_that_ends_flat_promises_no_money_that_goes_back_at_once(policy, word):
    """A Flash sleeve hands its profit back on the close, and what was set aside arrives: neither is in the numbers, both are said."""
    vault = CoreVault(USD, total="1000", tradeable="1000")
    desk = Desk(vault)
    sleeve = vault.sleeve("a", policy, allocate="500")
    puppet = Puppet(SPOT, "a")
    puppet.sit(desk, sleeve)
    puppet.quote("100")
    desk.step(fill(desk.order(sleeve, Place(SPOT, Side.BUY, SPOT.qty("1")), by="ann")[0].order, price="100"))
    puppet.quote("200")
    if policy is QUIET:
        assert "available" in look(desk, {}, said("close", sleeve="a", market="BTC/USD")).after, "nothing goes back, nothing arrives"
        vault.allocate(sleeve, "50")
    half = look(desk, {}, said("open", sleeve="a", market="BTC/USD", side="sell", qty="0.5"))
    assert "available" in half.after and not any(word in one for one in half.warnings), "it is not flat then"
    found = look(desk, {}, said("close", sleeve="a", market="BTC/USD"))
    assert found.ok and "available" not in found.after
    assert any(word in one for one in found.warnings)


def test_a_reclaim_says_that_what_is_set_aside_is_taken_first(stand):
    sleeve = next(one for one in stand.sleeves.values() if not one.is_flat() and one.loose_units() > 0)
    plain_one = seen(stand, said("reclaim", sleeve=sleeve.name, amount="1"))
    assert not any("set aside" in warning for warning in plain_one.warnings)
    stand.vault.allocate(sleeve, "10", by="ann")
    assert sleeve.pending == USD("10")
    found = seen(stand, said("reclaim", sleeve=sleeve.name, amount="4"))
    assert (found.before["pending"], found.after["pending"]) == ("10 USD", "6 USD")
    assert any(warning.startswith("4 USD of it is what is still set aside") for warning in found.warnings)


def test_a_deposit_into_a_pool_is_refused_as_the_deed_refuses_it():
    vault = CoreVault(USD, total="1000", tradeable="900")
    desk = Desk(vault)
    Megavault(vault, founder="ann")
    venue = VirtualDriver(Tape.sample().slice(0, 2), {"USD": USD("1000")}, wallet={"USD": USD("500")})
    asked = said("deposit", vault=VAULT, amount="100", venue=venue.name)
    found = look(desk, {venue.name: venue}, asked)
    answer = anyio.run(Control(desk, venue).do, asked)
    assert not found.ok and (found.code, found.message) == (answer.code.value, answer.message)
    assert "say with client=" in found.message


def test_a_desk_without_prices_says_that_it_knows_none():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    desk.assign(Trend.flash(SPOT), to=vault.sleeve("flash", FLASH, allocate="5000"))
    venue = make_desk().venue
    found = look(desk, {venue.name: venue}, said("open", sleeve="flash", market="BTC/USD", side="buy", qty="0.01"))
    assert found.code == Code.GATE_REFUSED.value
    assert "notional" not in found.numbers
    assert any("no price yet" in warning for warning in found.warnings)


def test_what_is_no_instruction_is_refused(stand):
    with pytest.raises(VaultError, match="an instruction is one of"):
        look(stand.desk, {}, "kill everything")


# -- real money ------------------------------------------------------------------------------------------------------------


class Real(VirtualDriver):
    real_money = True


def armed_stand(per_hour="5000", confirm_above="100"):
    stand = make_desk(engines=2, contracts=False)
    stand.play(50)
    stand.venue.real_money = True
    stand.desk.meet({"sim": True})
    return stand


def test_what_is_not_armed_is_said_before_it_is_sent():
    stand = armed_stand()
    order = said("open", sleeve="quiet", market="BTC/USD", side="buy", qty="0.01")
    found = seen(stand, order)
    assert found.code == Code.NOT_ARMED.value
    assert "sim is not armed" in found.warnings
    assert done(stand, order).code is Code.NOT_ARMED
    assert seen(stand, said("arm", venue="sim", per_hour="5000", phrase="?")).numbers["phrase"] == "arm sim for 5000 USD an hour"


def test_a_wish_that_would_wait_for_a_human_may_be_sent_and_its_confirmation_is_looked_at():
    stand = armed_stand()
    assert done(stand, said("arm", "a-1", venue="sim", per_hour="5000", phrase="arm sim for 5000 USD an hour", confirm_above="10")).ok
    order = said("open", "o-1", sleeve="quiet", market="BTC/USD", side="buy", qty="0.01")
    found = seen(stand, order)
    assert found.code == Code.NEEDS_CONFIRMATION.value
    assert not found.ok
    assert found.may_be_sent
    answer = done(stand, order)
    assert answer.code is Code.NEEDS_CONFIRMATION
    name = answer.evidence["confirmation"]
    yes = seen(stand, said("confirm", "c-1", confirmation=name))
    assert yes.ok, yes
    assert yes.numbers["notional"] == found.numbers["notional"]
    assert yes.numbers["worth"] == str(stand.desk.confirmations[0].worth)
    assert seen(stand, said("decline", "d-1", confirmation=name)).ok
    assert done(stand, said("confirm", "c-1", confirmation=name)).ok


def test_two_wallets_are_told_apart():
    books = CoreVault(USD, total="1000", tradeable="1000", wallet="one")
    other = CoreVault(USD, total="1000", tradeable="1000", wallet="two", books=books.books)
    desk = Desk(books, other)
    one, two = mocked_venues()
    found = look(desk, {"one": one, "two": two}, said("deposit", vault="core:one:USD", amount="5", venue="two"))
    assert found.code == Code.VAULT_REFUSED.value
    assert look(desk, {"one": one, "two": two}, said("deposit", vault="core:one:USD", amount="5", venue="one")).ok


def mocked_venues():
    from sleeves.sim import Tape

    tape = Tape.sample().slice(0, 3)
    return tuple(VirtualDriver(tape, {"USD": USD("1000")}, name=name) for name in ("one", "two"))
