"""Who gets which key, what moves its health, and that a position can be closed with the last one that works at all."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import pickle

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keys.sentinel import Sentinel
from sleeves import USD, CoreVault
from sleeves.errors import VenueUnavailable
from sleeves.keys import (
    TRANSITIONS,
    Environment,
    Health,
    InvalidKey,
    KeyRing,
    KeySet,
    Moved,
    NoKey,
    Nonces,
    NoSecret,
    Right,
    Rights,
    RightsRefused,
    Secret,
    Sign,
    Unwritable,
    check_expiry,
    check_rights,
    expires_in,
    next_health,
)
from sleeves.market import DAY, HOUR, MINUTE, SECOND

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
NOW = 1_790_000_000 * SECOND
HOME = ("203.0.113.7",)
GOOD = Rights.of("read", "trade", addresses=HOME)
H, S = Health, Sign


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def key(name, venue="kraken", **more):
    more = {"rights": GOOD, "api_key": Secret(f"id-of-{name}-at-{venue}"), "secret": Secret(f"secret-of-{name}"), **more}
    return KeySet(name, venue=venue, **more)


def ring_of(clock, *names, **more):
    return KeyRing([key(name) for name in names], clock=clock, **more)


async def name_of(ring, vault="a", venue="kraken", **how):
    async with ring.use(vault, venue, **how) as held:
        return held.name


def used(ring, *words, **how):
    """The name of the key that an operation gets."""
    return anyio.run(lambda: name_of(ring, *words, **how))


# -- rights --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["withdraw", "transfer"])
def test_what_could_empty_the_account_is_refused_unless_allowed(out):
    rights = Rights.of("read", "trade", out, addresses=HOME)
    with pytest.raises(RightsRefused, match=f"may {out}"):
        check_rights(rights)
    assert check_rights(rights, allow_withdraw=True) == ()


@pytest.mark.parametrize("words", [("read", "staking"), ("READ",), ("withdraw-funds",), ("",)])
def test_a_right_that_nobody_knows_is_refused_though_withdrawing_is_allowed(words):
    for allowed in (False, True):
        with pytest.raises(RightsRefused, match="not known here"):
            check_rights(Rights.of(*words, addresses=HOME), allowed)


def test_rights_that_are_not_known_are_refused():
    with pytest.raises(RightsRefused, match="is not known"):
        check_rights(None)


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        ((), "no IP address"),
        (None, "does not tell"),
        (["0.0.0.0/0"], "all of them"),
        (["10.0.0.1", "::/0"], "all of them"),
        (["*"], "all of them"),
    ],
)
def test_a_key_that_is_bound_to_no_address_is_a_warning(addresses, said):
    (warning,) = check_rights(Rights.of("read", addresses=addresses))
    assert said in warning
    assert check_rights(Rights.of("read", addresses=["203.0.113.0/24", "2001:db8::1"])) == ()


def test_a_venues_own_words_stand_for_rights():
    means = {
        "Query funds": Right.READ,
        "Create & modify orders": Right.TRADE,
        "Withdraw funds": Right.WITHDRAW,
        "Access WebSockets API": None,
    }
    rights = Rights.of("Query funds", "Access WebSockets API", "Create & modify orders", means=means)
    assert rights.granted == {Right.READ, Right.TRADE} and not rights.unknown
    assert Rights.of("Query funds", "trade", means=means).unknown == {"trade"}
    assert str(Rights.of("trade", "read", "bake")) == "read, trade, bake?"


@pytest.mark.parametrize("wrong", [7, "read", {"read"}, True])
def test_what_is_no_rights_is_refused(wrong):
    with pytest.raises(InvalidKey):
        check_rights(wrong)
    with pytest.raises(InvalidKey):
        check_rights(GOOD, wrong if wrong is not True else 1)
    with pytest.raises(InvalidKey):
        Rights.of(7)
    with pytest.raises(InvalidKey):
        Rights.of("read", addresses="10.0.0.1")


@given(st.sets(st.sampled_from([*Right])), st.sets(st.text(max_size=5)), st.booleans())
def test_only_known_rights_that_take_nothing_out_pass(granted, unknown, allowed):
    rights = Rights(frozenset(granted), frozenset(unknown), HOME)
    sound = not unknown and (allowed or not granted & {Right.WITHDRAW, Right.TRANSFER})
    try:
        passed = check_rights(rights, allowed) == ()
    except RightsRefused:
        passed = False
    assert passed is sound


# -- expiry --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (15 * DAY, ""),
        (14 * DAY + 1, ""),
        (14 * DAY, "expires in 14 d, within 14 days: make a new one"),
        (7 * DAY + 1, "expires in 7 d, within 14 days: make a new one"),
        (7 * DAY, "expires in 7 d, within 7 days: make a new one"),
        (DAY, "expires in 24 h, within 1 day: make a new one"),
        (1, "expires in 1 s, within 1 day: make a new one"),
    ],
)
def test_the_end_of_a_key_is_told_at_14_7_and_1_days(left, said):
    one = key("main", expires_at=NOW + left)
    assert expires_in(one, NOW) == left
    assert check_expiry(one, NOW) == said


@pytest.mark.parametrize("ago", [0, 1, DAY])
def test_a_key_whose_time_is_over_is_refused(ago, clock):
    with pytest.raises(RightsRefused, match="has expired"):
        check_expiry(key("main", expires_at=NOW - ago), NOW)
    with pytest.raises(RightsRefused, match="key main of kraken"):
        KeyRing([key("main", expires_at=NOW - ago)], clock=clock)
    assert expires_in(key("main"), NOW) is None and check_expiry(key("main"), NOW) == ""


def test_each_day_of_warning_is_logged_once_and_then_the_key_is_dead(clock, caplog):
    ring = KeyRing([key("main", expires_at=NOW + 20 * DAY)], clock=clock)
    for _ in range(20 * 8):
        used(ring)
        clock.now += 3 * HOUR
    tiers = [record.message.partition(", within ")[2] for record in caplog.records if "within" in record.message]
    assert tiers == ["14 days: make a new one", "7 days: make a new one", "1 day: make a new one"]
    with pytest.raises(NoKey, match=r"main is dead \(expired\)"):
        used(ring)
    with pytest.raises(NoKey):
        used(ring, exit=True)
    assert ring.describe()[0]["expires"] == "expired"
    assert "expired" in ring.warnings()["main"][0]


# -- a set of keys -------------------------------------------------------------------------------------------------------


def test_a_set_is_loaded_from_a_source():
    environ = {"SLEEVES_MAIN_KEY": "an id", "SLEEVES_MAIN_SECRET": "a secret", "SLEEVES_MAIN_PASSPHRASE": "open"}
    one = KeySet.load(Environment(environ=environ), "main", venue="kraken", rights=GOOD, account="sub", expires_at=5, vault="core:main:USD")
    assert (one.api_key, one.secret, one.passphrase) == (Secret("an id"), Secret("a secret"), None)
    assert (one.name, one.venue, one.rights, one.account, one.expires_at, one.vault) == ("main", "kraken", GOOD, "sub", 5, "core:main:USD")
    assert KeySet.load(Environment(environ=environ), "main", venue="okx", passphrase=True).passphrase == Secret("open")
    with pytest.raises(NoSecret):
        KeySet.load(Environment(environ={**environ, "SLEEVES_MAIN_PASSPHRASE": ""}), "main", venue="okx", passphrase=True)


def test_a_value_that_is_no_secret_is_refused_and_not_shown():
    sentinel = Sentinel()
    for make in (
        lambda: KeySet("main", venue="kraken", api_key=sentinel.value, secret=Secret("x")),
        lambda: KeySet("main", venue="kraken", api_key=Secret("x"), secret=sentinel.value.encode()),
        lambda: KeySet("main", venue="kraken", api_key=Secret("x"), secret=Secret("x"), passphrase=sentinel.value),
    ):
        with pytest.raises(InvalidKey, match="each a Secret") as refused:
            make()
        assert sentinel.found(refused.value) == []


@pytest.mark.parametrize(
    "more",
    [
        {"venue": ""},
        {"venue": None},
        {"account": None},
        {"rights": ["read"]},
        {"expires_at": 1.5},
        {"expires_at": -1},
        {"expires_at": True},
        {"expires_at": float("nan")},
        {"vault": 7},
        {"vault": "  "},
        {"secret": Secret("with a line end\n")},
        {"api_key": Secret(" id")},
    ],
    ids=str,
)
def test_a_set_that_cannot_be_is_refused(more):
    with pytest.raises(InvalidKey):
        key("main", **more)


def test_a_set_shows_its_name_and_is_neither_pickled_nor_copied():
    one = key("main", passphrase=Secret("open sesame"))
    assert repr(one) == str(one) == "KeySet('main', venue='kraken')"
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(Unwritable):
            way(one)
    assert one != key("main") and one == one and len({one, key("main")}) == 2
    assert one.hide("id-of-main-at-kraken signed open%20sesame") == "**** signed ****"
    one.wipe()
    assert one.secret.wiped and one.api_key.wiped and one.passphrase.wiped


def test_a_fingerprint_is_of_the_key_and_not_of_its_name():
    assert key("a", api_key=Secret("same")).fingerprint == key("b", api_key=Secret("same")).fingerprint
    assert key("a").fingerprint != key("b").fingerprint
    assert key("a", api_key=Secret("same")).fingerprint != key("a", "okx", api_key=Secret("same")).fingerprint


# -- the table -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("health", "sign"), list(itertools.product(Health, Sign)))
def test_a_sign_is_in_the_table_or_refused_with_those_that_are(health, sign):
    if (health, sign) in TRANSITIONS:
        assert next_health(health, sign, "key x") is TRANSITIONS[health, sign]
        return
    with pytest.raises(InvalidKey) as refused:
        next_health(health, sign, "key x")
    said, _, known = str(refused.value).partition("; from here it can be ")
    assert said == f"key x is {health}: it cannot be {sign}"
    assert known.split(", ") == sorted(s.value for h, s in TRANSITIONS if h is health)


WORSE = [H.HEALTHY, H.COOLING, H.SUSPECT, H.DENIED, H.LOCKED, H.DEAD]
MENDS = {S.RESTED, S.PROBED, S.CLEARED}


def test_the_table_has_all_that_a_venue_says_and_only_rest_probes_and_humans_mend():
    assert {health for health, _ in TRANSITIONS} == set(Health) == set(WORSE)
    for health, sign in itertools.product(Health, set(Sign) - {S.RESTED, S.CLEARED}):
        assert (health, sign) in TRANSITIONS
    for (health, sign), to in TRANSITIONS.items():
        if sign not in MENDS:
            assert WORSE.index(to) >= WORSE.index(health), (health, sign)
    assert {health for (health, sign) in TRANSITIONS if sign is S.RESTED} == {H.COOLING, H.LOCKED}


def test_what_was_worse_than_a_rest_is_not_healthy_without_a_probe_or_a_second_look():
    for (health, _), to in TRANSITIONS.items():
        if to is H.HEALTHY:
            assert health in (H.HEALTHY, H.COOLING, H.SUSPECT)


@pytest.mark.parametrize(
    ("health", "opens", "exits"),
    [(H.HEALTHY, 1, 1), (H.COOLING, 0, 1), (H.SUSPECT, 0, 1), (H.DENIED, 0, 0), (H.LOCKED, 0, 0), (H.DEAD, 0, 0)],
)
def test_what_a_key_may_be_used_for(health, opens, exits):
    assert (health.may_open, health.may_exit) == (bool(opens), bool(exits))


@pytest.mark.parametrize(
    ("sign", "health"),
    [
        (S.ANSWERED, H.HEALTHY),
        (S.RATE_LIMITED, H.COOLING),
        (S.NONCE, H.SUSPECT),
        (S.PERMISSION, H.DENIED),
        (S.LOCKOUT, H.LOCKED),
        (S.INVALID, H.DEAD),
        (S.OVERREACH, H.SUSPECT),
    ],
)
def test_each_thing_that_a_venue_says_leads_where_the_table_says(clock, sign, health):
    for word in (sign, sign.value):
        ring = ring_of(clock, "main")
        assert ring.told("main", word) is health
        assert ring.health("main") is health


# -- rests and locks -----------------------------------------------------------------------------------------------------


def test_a_rest_is_a_second_then_twice_as_long_each_time_in_a_row_up_to_a_minute(clock):
    ring, rests = ring_of(clock, "main"), []
    for _ in range(9):
        assert ring.told("main", S.RATE_LIMITED) is H.COOLING
        began = clock.now
        with pytest.raises(NoKey) as none:
            used(ring)
        rests.append((none.value.until - began) // SECOND)
        clock.now = none.value.until - 1
        assert ring.health("main") is H.COOLING
        clock.now += 1
        assert ring.health("main") is H.HEALTHY
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    used(ring)  # it answers
    ring.told("main", S.RATE_LIMITED)
    clock.now += SECOND
    assert ring.health("main") is H.HEALTHY


def test_calls_that_were_under_way_together_are_one_time(clock):
    ring = ring_of(clock, "main")
    for _ in range(300):
        ring.told("main", S.RATE_LIMITED)
    clock.now += SECOND
    assert ring.health("main") is H.HEALTHY


def test_a_rest_ends_when_the_venue_says_so_a_day_at_most_and_is_never_shortened(clock):
    ring = ring_of(clock, "main")
    ring.told("main", S.RATE_LIMITED, until=NOW + 5 * MINUTE)
    ring.told("main", S.RATE_LIMITED, until=NOW + MINUTE)
    clock.now = NOW + 5 * MINUTE - 1
    assert ring.health("main") is H.COOLING
    clock.now += 1
    assert ring.health("main") is H.HEALTHY
    ring.told("main", S.RATE_LIMITED, until=clock.now * 1_000)  # picoseconds, perhaps
    clock.now += DAY - 1
    assert ring.health("main") is H.COOLING
    clock.now += 1
    assert ring.health("main") is H.HEALTHY
    ring.told("main", S.RATE_LIMITED, until=5)  # long ago
    clock.now += SECOND - 1
    assert ring.health("main") is H.COOLING


def test_a_locked_key_is_suspect_once_its_time_is_over(clock):
    ring = ring_of(clock, "main")
    ring.told("main", S.LOCKOUT)
    clock.now += 15 * MINUTE - 1
    for leaves in (False, True):
        with pytest.raises(NoKey, match="locked for 1 s"):
            used(ring, exit=leaves)
    clock.now += 1
    assert ring.health("main") is H.SUSPECT
    assert used(ring, exit=True) == "main"
    assert ring.probed("main", GOOD) is H.HEALTHY
    ring.told("main", S.LOCKOUT, until=clock.now + HOUR)
    clock.now += HOUR - 1
    assert ring.health("main") is H.LOCKED


def test_a_lock_is_on_all_keys_of_the_account_and_on_no_others(clock):
    keys = [key("a"), key("b"), key("c", account="sub"), key("d", "okx")]
    ring = KeyRing(keys, clock=clock)
    ring.told("a", S.LOCKOUT)
    assert [ring.health(name) for name in "abcd"] == [H.LOCKED, H.LOCKED, H.HEALTHY, H.HEALTHY]


def test_a_clock_that_goes_back_makes_no_rest_longer(clock):
    ring = ring_of(clock, "main")
    ring.told("main", S.RATE_LIMITED, until=NOW + MINUTE)
    clock.now += 30 * SECOND
    assert ring.health("main") is H.COOLING
    clock.now -= 365 * DAY
    assert ring.health("main") is H.COOLING
    clock.now += 29 * SECOND
    with pytest.raises(NoKey) as none:
        used(ring)
    assert none.value.until == clock.now + SECOND
    clock.now += SECOND
    assert ring.health("main") is H.HEALTHY
    ring.told("main", S.RATE_LIMITED, until=clock.now + MINUTE)  # in the clock's new time
    clock.now += MINUTE
    assert ring.health("main") is H.HEALTHY


# -- rights of a key, one by one -----------------------------------------------------------------------------------------


def test_a_key_that_is_denied_a_right_keeps_its_others(clock):
    ring = ring_of(clock, "main")
    assert ring.told("main", S.PERMISSION, right="read") is H.DENIED
    assert ring.health("main", "trade") is H.HEALTHY
    assert used(ring) == "main"
    assert used(ring, exit=True) == "main"
    with pytest.raises(NoKey, match="main is denied"):
        used(ring, right="read", exit=True)
    assert ring.describe()[0]["denied"] == "read"
    ring.told("main", S.PERMISSION)
    with pytest.raises(NoKey):
        used(ring, exit=True)


@both
def test_a_key_that_is_refused_one_call_makes_all_others(backend, clock, caplog):
    ring = ring_of(clock, "one", "two")
    how = {"right": "read", "call": "Ledgers"}

    async def refuse(why):
        async with ring.use("a", "kraken", **how) as held:
            held.refused("Ledgers", why)
            return held.name

    async def main():
        assert await refuse("no, says id-of-one-at-kraken") == "one"
        assert "key one of kraken is refused Ledgers" in caplog.text and "id-of-one" not in caplog.text
        assert ring.health("one", "read") is H.HEALTHY and ring.describe()[0]["denied"] == "Ledgers"
        assert await name_of(ring, **how) == "two"
        assert [await name_of(ring, right="read", call="BalanceEx"), await name_of(ring, right="trade")] == ["one", "one"], "it stays"
        assert await refuse("nor this") == "two"
        for leaves in (False, True):
            with pytest.raises(NoKey, match=r"one is refused Ledgers \(no, says .*\); two is refused Ledgers \(nor this\)") as none:
                await name_of(ring, exit=leaves, **how)
            assert none.value.until is None
        with pytest.raises(NoKey, match="key one of kraken is refused Ledgers"):
            async with ring.probe("one", call="Ledgers"):
                pass
        async with ring.probe("one"):
            pass
        assert ring.probed("one", GOOD) is H.HEALTHY
        assert await name_of(ring, **how) == "one", "its permissions were looked at"
        assert ring.clear("two", by="ana", why="the permission was given") is H.HEALTHY
        assert [row["denied"] for row in ring.describe()] == ["", ""]
        with pytest.raises(InvalidKey, match="cannot be cleared"):
            ring.clear("two", by="ana", why="again")

    anyio.run(main, backend=backend)


def test_with_an_account_no_key_of_another_one_is_given_out(clock):
    ring = KeyRing([key("one", account="k"), key("two", account="m")], clock=clock)
    assert used(ring, account="m") == "two"
    ring.told("two", S.INVALID)
    for how in ({}, {"exit": True}):
        with pytest.raises(NoKey, match="two is dead"):
            used(ring, account="m", **how)
    assert used(ring, vault="b", account="k") == "one"


@both
def test_what_an_operation_is_denied_is_the_right_that_it_is_for(backend, clock):
    ring = ring_of(clock, "main")

    async def main():
        async with ring.use("a", "kraken", right=Right.READ) as held:
            assert held.told(S.PERMISSION) is H.DENIED

    anyio.run(main, backend=backend)
    assert (ring.health("main", "read"), ring.health("main", "trade")) == (H.DENIED, H.HEALTHY)


def test_a_key_is_used_for_nothing_that_it_was_not_granted(clock):
    reader = key("reader", rights=Rights.of("read", addresses=HOME))
    ring = KeyRing([reader, key("trader")], clock=clock)
    assert used(ring, right="read") == "reader"
    assert used(ring, right="trade") == "trader"
    with pytest.raises(NoKey, match="none there that has this right"):
        used(ring, right="withdraw")


# -- probes and humans ---------------------------------------------------------------------------------------------------


def test_a_probe_makes_a_suspect_key_healthy_if_its_rights_are_what_they_should_be(clock):
    ring = ring_of(clock, "main")
    ring.told("main", S.NONCE)
    used(ring, exit=True)  # an exit went through: that proves nothing
    assert ring.health("main") is H.SUSPECT
    assert ring.due() == ["main"]
    assert ring.probed("main", GOOD) is H.HEALTHY
    assert ring.due() == []
    for rights in (Rights.of("read", "trade", "withdraw"), Rights.of("read", "fly"), None):
        assert ring.probed("main", rights) is H.SUSPECT
        ring.probed("main", GOOD)
    clock.now += DAY
    assert ring.due() == ["main"]


@both
def test_a_probe_gets_a_certain_key_and_not_one_that_must_be_left_alone(backend, clock):
    ring = ring_of(clock, "main", "spare")

    async def main():
        ring.told("spare", S.NONCE)
        async with ring.probe("spare") as held:
            assert held.name == "spare" and held.last_resort and held.secret == Secret("secret-of-spare")
        ring.told("main", S.INVALID)
        with pytest.raises(NoKey, match="cannot be probed: dead"):
            async with ring.probe("main"):
                pass
        assert ring.vault_of("spare") == ""

    anyio.run(main, backend=backend)


def test_a_dead_key_is_cleared_by_a_human_and_then_probed(clock):
    ring = ring_of(clock, "main")
    ring.told("main", S.INVALID)
    assert ring.probed("main", GOOD) is H.DEAD
    assert ring.clear("main", by="ann", why="the venue had an outage") is H.SUSPECT
    assert "ann: the venue had an outage" in ring.describe()[0]["why"]
    assert ring.probed("main", GOOD) is H.HEALTHY
    with pytest.raises(InvalidKey, match="key main is healthy: it cannot be cleared"):
        ring.clear("main", by="ann", why="again")
    for words in ({"by": "", "why": "x"}, {"by": "ann", "why": " "}, {"by": None, "why": "x"}):
        with pytest.raises(InvalidKey, match="saying"):
            ring.clear("main", **words)


# -- which key -----------------------------------------------------------------------------------------------------------


def test_a_vault_keeps_its_key_while_it_is_healthy_and_two_never_share_one(clock):
    ring = ring_of(clock, "one", "two", "three")
    assert [used(ring, vault) for vault in "abab"] == ["one", "two", "one", "two"]
    ring.told("one", S.NONCE)
    assert used(ring, "a") == "three"
    ring.told("two", S.NONCE)
    with pytest.raises(NoKey, match="two is suspect"):
        used(ring, "b")  # one and three are a's
    ring.probed("one", GOOD)
    assert used(ring, "a") == "three"  # it keeps what it has
    ring.told("three", S.LOCKOUT)
    assert {ring.vault_of(name) for name in ("one", "three")} == {"a"}


def test_a_core_vault_is_known_by_its_owner(clock):
    vault = CoreVault(USD, total="10", tradeable="5")
    ring = KeyRing([key("other", vault="core:other:USD"), key("mine", vault=vault)], clock=clock)
    assert used(ring, vault) == used(ring, vault.owner) == "mine"
    assert ring.vault_of("mine") == vault.owner == "core:main:USD"
    with pytest.raises(NoKey):
        used(ring, "core:third:USD")


def test_a_key_that_is_for_a_vault_comes_before_one_that_is_for_any(clock):
    ring = KeyRing([key("any"), key("mine", vault="a")], clock=clock)
    assert used(ring, "a") == "mine"
    assert used(ring, "b") == "any"


def test_a_vault_stays_in_the_account_where_it_began(clock):
    ring = KeyRing([key("one", account="x"), key("two", account="y"), key("three", account="x")], clock=clock)
    assert used(ring, "a") == "one"
    ring.told("one", S.NONCE)
    assert used(ring, "a") == "three"
    ring.told("three", S.NONCE)
    with pytest.raises(NoKey) as none:
        used(ring, "a")
    assert "two" not in str(none.value)


def test_an_exit_takes_the_last_key_that_works_at_all_and_says_so(clock, caplog):
    ring = ring_of(clock, "one", "two", "three")

    async def main():
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.last_resort) == ("one", False)
        ring.told("one", S.NONCE)
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.last_resort) == ("two", False)  # a healthy one comes first
        ring.told("two", S.RATE_LIMITED)
        ring.told("three", S.INVALID)
        with pytest.raises(NoKey):
            await name_of(ring)
        caplog.clear()
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.health, held.last_resort, held.exit) == ("two", H.COOLING, True, True)
        assert "an exit of a at kraken takes key two, which is cooling for 1 s: none of its own is healthy" in caplog.text
        ring.told("two", S.INVALID)
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.health) == ("one", H.SUSPECT)
        ring.told("one", S.LOCKOUT)
        with pytest.raises(NoKey, match="one is locked"):
            await name_of(ring, exit=True)

    anyio.run(main)


def test_an_exit_with_no_healthy_key_is_lent_another_vaults_of_its_account(clock, caplog):
    ring = KeyRing([key("one", vault="a"), key("two", vault="b"), key("far", account="other", vault="c")], clock=clock)

    async def main():
        ring.told("one", S.RATE_LIMITED)
        with pytest.raises(NoKey):
            await name_of(ring)  # new risk is not lent anything
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.vault, held.lent, held.last_resort) == ("two", "a", True, False)
        assert "takes key two of b, which is healthy: none of its own is healthy" in caplog.text
        assert ring.vault_of("two") == "b"
        ring.told("two", S.RATE_LIMITED)
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.lent) == ("one", False)  # of two that are as bad its own
        ring.told("one", S.INVALID)
        async with ring.use("a", "kraken", exit=True) as held:
            assert (held.name, held.health, held.lent) == ("two", H.COOLING, True)
        ring.told("two", S.INVALID)
        with pytest.raises(NoKey):  # never one of another account
            await name_of(ring, exit=True)
        async with ring.use("b", "kraken", exit=True):
            raise AssertionError("b has no key left either")

    with pytest.raises(NoKey):
        anyio.run(main)


def test_a_key_that_was_lent_goes_back(clock):
    ring = KeyRing([key("one", vault="a"), key("two", vault="b")], clock=clock)

    async def main():
        ring.told("one", S.INVALID)
        async with ring.use("a", "kraken", exit=True) as held:
            assert held.lent
        async with ring.use("b", "kraken") as held:
            assert (held.name, held.lent) == ("two", False)
        with pytest.raises(NoKey):
            await name_of(ring)

    anyio.run(main)


def test_a_vault_that_has_no_account_is_lent_nothing(clock):
    ring = KeyRing([key("two", vault="b")], clock=clock)
    with pytest.raises(NoKey):
        used(ring, exit=True)


def test_no_key_is_a_venue_that_was_not_reached(clock):
    """So that the shell takes the order back: nothing was sent."""
    with pytest.raises(VenueUnavailable, match="no key for a at kraken to trade"):
        used(KeyRing(clock=clock))
    ring = ring_of(clock, "one", "two")
    ring.told("one", S.RATE_LIMITED, until=NOW + 5 * MINUTE)
    ring.told("two", S.RATE_LIMITED, until=NOW + 3 * MINUTE)
    with pytest.raises(NoKey, match=r"one is cooling for 5 min; two is cooling for 3 min") as none:
        used(ring)
    assert none.value.until == NOW + 3 * MINUTE
    ring.told("one", S.INVALID)
    ring.told("two", S.INVALID)
    with pytest.raises(NoKey) as none:
        used(ring)
    assert none.value.until is None


@both
def test_an_operation_keeps_its_key_to_its_end_and_the_next_one_gets_another(backend, clock):
    ring = ring_of(clock, "one", "two")

    async def main():
        async with ring.use("a", "kraken") as held:
            held.told(S.INVALID)
            assert held.name == "one" and held.secret == Secret("secret-of-one")
            async with ring.use("a", "kraken") as other:
                assert other.name == "two"
            assert held.secret == Secret("secret-of-one")
        for ask in (lambda: held.secret, lambda: held.api_key, lambda: held.passphrase, held.nonce, lambda: held.hide("x")):
            with pytest.raises(InvalidKey, match="is over"):
                ask()
        assert ring.health("one") is H.DEAD

    anyio.run(main, backend=backend)


@both
def test_an_operation_that_fails_or_is_canceled_lets_go_of_its_key(backend, clock):
    ring = ring_of(clock, "one", nonces=Nonces(clock))

    async def main():
        with pytest.raises(ConnectionError):
            async with ring.use("a", "kraken"):
                raise ConnectionError
        with anyio.move_on_after(0.01):
            async with ring.use("a", "kraken") as held, held.turn():
                await anyio.sleep(60)
        assert ring.describe()[0]["held"] == "0"
        assert ring._queues == {}

    anyio.run(main, backend=backend)


@both
def test_a_key_is_retired_once_nobody_holds_it(backend, clock):
    ring = ring_of(clock, "one", "two")
    told = []

    async def main():
        async with anyio.create_task_group() as tasks:
            held_now = anyio.Event()

            async def operate():
                async with ring.use("a", "kraken") as held:
                    held_now.set()
                    await anyio.sleep(0.02)
                    assert held.secret.reveal() == "secret-of-one"
                    told.append("operated")

            tasks.start_soon(operate)
            await held_now.wait()

            async def retire():
                await ring.retire("one")
                told.append("retired")

            tasks.start_soon(retire)
            await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.005)
            assert await name_of(ring) == "two"
        assert told == ["operated", "retired"]
        assert ring.names == ["two"]
        ring.add(key("one"))

    anyio.run(main, backend=backend)


# -- nonces --------------------------------------------------------------------------------------------------------------


@both
def test_300_operations_at_once_send_rising_nonces_in_order(backend, clock, tmp_path):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        ring = ring_of(clock, "one", "two", nonces=nonces)
        arrived = {"one": [], "two": []}
        sending = {"one": 0, "two": 0}

        async def operate(vault, number):
            async with ring.use(vault, "kraken") as held, held.turn() as nonce:
                sending[held.name] += 1
                assert sending[held.name] == 1
                for _ in range(number % 4):
                    await anyio.lowlevel.checkpoint()
                arrived[held.name].append(nonce)
                clock.now += (number % 7 - 3) * 100_000_000  # back and forth
                sending[held.name] -= 1

        async def main():
            async with anyio.create_task_group() as tasks:
                for number in range(300):
                    tasks.start_soon(operate, "ab"[number % 2], number)

        anyio.run(main, backend=backend)
        assert ring._queues == {}
    for numbers in arrived.values():
        assert len(numbers) == 150
        assert all(a < b for a, b in itertools.pairwise(numbers))


@both
def test_300_that_do_not_wait_their_turn_get_numbers_of_their_own(backend, clock):
    ring, drawn = ring_of(clock, "one", nonces=Nonces(clock)), []

    async def operate():
        async with ring.use("a", "kraken") as held:
            await anyio.lowlevel.checkpoint()
            drawn.append(held.nonce())

    async def main():
        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(operate)

    anyio.run(main, backend=backend)
    assert len(set(drawn)) == 300


def test_a_ring_goes_from_one_event_loop_to_another(clock):
    ring, drawn = ring_of(clock, "one", nonces=Nonces(clock)), []

    async def operate():
        async with ring.use("a", "kraken") as held, held.turn() as nonce:
            drawn.append(nonce)

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(operate, backend=backend)
    assert drawn == sorted(set(drawn)) and len(drawn) == 3


@both
def test_who_trades_has_its_turn_before_all_that_wait_to_read(backend, clock):
    """An exit waits for the call that is under way, and for exits that came before it: for no question."""
    ring, order = ring_of(clock, "one", nonces=Nonces(clock)), []

    async def operate(name, right, first=None):
        async with ring.use("a", "kraken", right=right) as held, held.turn(first=first) as nonce:
            order.append((name, nonce))
            await anyio.sleep(0.002)

    async def main():
        async with anyio.create_task_group() as tasks, ring.use("a", "kraken", right=Right.READ) as held, held.turn():
            for n in range(3):
                for name, how in ((f"read {n}", (Right.READ,)), (f"trade {n}", (Right.TRADE,)), (f"first {n}", (Right.READ, True))):
                    tasks.start_soon(operate, name, *how)
                    await anyio.wait_all_tasks_blocked()
            tasks.start_soon(operate, "last", Right.TRADE, False)
            await anyio.wait_all_tasks_blocked()
            assert order == [], "one at a time"

    anyio.run(main, backend=backend)
    names, nonces = zip(*order, strict=True)
    assert names == ("trade 0", "first 0", "trade 1", "first 1", "trade 2", "first 2", "read 0", "read 1", "read 2", "last")
    assert list(nonces) == sorted(set(nonces)), "a nonce is drawn when the turn is had"
    assert ring._queues == {}


@both
@pytest.mark.parametrize("right", [Right.READ, Right.TRADE])
def test_a_turn_that_is_given_to_one_who_is_canceled_goes_to_the_next(backend, clock, right):
    ring, had = ring_of(clock, "one", nonces=Nonces(clock)), []

    async def operate(name, scope):
        with scope:
            async with ring.use("a", "kraken", right=right) as held, held.turn():
                had.append(name)

    async def main():
        scopes = [anyio.CancelScope() for _ in range(4)]
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                async with ring.use("a", "kraken", right=right) as held, held.turn():
                    for n, scope in enumerate(scopes):
                        tasks.start_soon(operate, n, scope)
                        await anyio.wait_all_tasks_blocked()
                    scopes[1].cancel()  # while it waits
                    await anyio.wait_all_tasks_blocked()
                scopes[0].cancel()  # the turn is its own now, and it does not know yet
        assert had in ([2, 3], [0, 2, 3]), "trio lets one go on that was woken before"
        assert ring._queues == {}

    anyio.run(main, backend=backend)


def test_a_turn_that_is_given_in_the_moment_of_a_cancel_goes_to_the_next(clock):
    """As asyncio's own tasks are canceled, which anyio's are not: behind what they waited for."""
    ring, had = ring_of(clock, "one", nonces=Nonces(clock)), []

    async def operate(name):
        async with ring.use("a", "kraken") as held, held.turn():
            had.append(name)

    async def main():
        async with ring.use("a", "kraken") as held, held.turn():
            tasks = [asyncio.create_task(operate(n)) for n in range(3)]
            await anyio.wait_all_tasks_blocked()
        tasks[0].cancel()
        with anyio.fail_after(5):
            await asyncio.wait(tasks)
        assert tasks[0].cancelled() and had == [1, 2]
        assert ring._queues == {}

    anyio.run(main)


def test_a_ring_without_nonces_has_none(clock):
    async def main():
        async with ring_of(clock, "one").use("a", "kraken") as held:
            held.nonce()

    with pytest.raises(InvalidKey, match="no nonces"):
        anyio.run(main)


def test_the_nonces_of_a_key_go_on_under_another_name(clock):
    nonces = Nonces(clock)

    async def draw(name):
        async with KeyRing([key(name, api_key=Secret("same"))], clock=clock, nonces=nonces).use("a", "kraken") as held:
            return held.nonce()

    first, second = anyio.run(draw, "one"), anyio.run(draw, "renamed")
    assert second == first + 1


# -- what is told --------------------------------------------------------------------------------------------------------


def test_listeners_are_told_of_each_change_once(clock, caplog):
    ring, told = ring_of(clock, "one"), []
    end = ring.listen(told.append)

    def broken(moved):
        raise ValueError("no")

    ring.listen(broken)
    used(ring)
    ring.told("one", S.RATE_LIMITED, why="EAPI:Rate limit exceeded")
    clock.now += SECOND
    used(ring)
    assert [(one.before, one.after, one.sign, one.rights) for one in told] == [
        (H.HEALTHY, H.COOLING, S.RATE_LIMITED, (Right.READ, Right.TRADE)),
        (H.COOLING, H.HEALTHY, S.RESTED, (Right.READ, Right.TRADE)),
    ]
    assert str(told[0]) == "key one of kraken, to read and trade: healthy -> cooling for 1 s, rate_limited (EAPI:Rate limit exceeded)"
    assert told[0] == Moved(
        NOW, "one", "kraken", "a", told[0].rights, H.HEALTHY, H.COOLING, S.RATE_LIMITED, SECOND, "EAPI:Rate limit exceeded"
    )
    assert sum("is told of no more keys" in record.message for record in caplog.records) == 1
    end()
    end()
    ring.told("one", S.INVALID)
    assert len(told) == 2


def test_what_a_venue_says_is_told_without_the_values(clock, caplog):
    caplog.set_level(logging.DEBUG)
    sentinel = Sentinel()
    ring = KeyRing([key("one", secret=Secret(sentinel.value))], clock=clock)
    told = []
    ring.listen(told.append)
    ring.told("one", S.INVALID, why=f"EAPI:Invalid key id-of-one-at-kraken signed {sentinel.value}")
    assert told[0].why == "EAPI:Invalid key **** signed ****"
    assert sentinel.found(caplog.text, str(told), ring) == []


def test_a_ring_describes_itself(clock):
    ring = KeyRing([key("one", expires_at=NOW + 3 * DAY), key("two", rights=Rights.of("read"))], clock=clock)
    used(ring)
    ring.told("two", S.RATE_LIMITED, until=NOW + 90 * MINUTE, why="slow down")
    assert repr(ring) == "<KeyRing kraken one healthy, kraken two cooling>"
    assert ring.describe() == [
        {
            "key": "one",
            "venue": "kraken",
            "account": "",
            "vault": "a",
            "health": "healthy",
            "rests": "",
            "denied": "",
            "why": "",
            "rights": "read, trade",
            "expires": "3 d",
            "held": "0",
        },
        {
            "key": "two",
            "venue": "kraken",
            "account": "",
            "vault": "",
            "health": "cooling",
            "rests": "90 min",
            "denied": "",
            "why": "slow down",
            "rights": "read",
            "expires": "",
            "held": "0",
        },
    ]
    assert ring.warnings() == {
        "one": ("expires in 3 d, within 7 days: make a new one",),
        "two": ("it is bound to no IP address: whoever has it can use it from anywhere",),
    }
    assert repr(KeyRing(clock=clock)) == "<KeyRing empty>"


# -- misuse --------------------------------------------------------------------------------------------------------------


def test_what_a_ring_does_not_take(clock):
    for keys in (["main"], [None], [key("one"), key("one")], [key("one"), key("two", api_key=Secret("id-of-one-at-kraken"))]):
        with pytest.raises(InvalidKey):
            KeyRing(keys, clock=clock)
    for rights in (None, Rights.of("read", "withdraw"), Rights.of("fly")):
        with pytest.raises(RightsRefused, match="key one of kraken"):
            KeyRing([key("one", rights=rights)], clock=clock)
    KeyRing([key("one", rights=Rights.of("read", "withdraw"))], clock=clock, allow_withdraw=True)
    for more in ({"clock": NOW}, {"clock": clock, "nonces": "file"}):
        with pytest.raises(InvalidKey):
            KeyRing(**more)
    for time in (None, 1.5, -1, "now", True, float("inf")):
        with pytest.raises(InvalidKey, match="the clock of a ring"):
            KeyRing([key("one")], clock=lambda time=time: time)


def test_what_a_ring_is_not_asked(clock):
    ring = ring_of(clock, "one")
    for ask in (
        lambda: ring.use(7, "kraken"),
        lambda: ring.use("", "kraken"),
        lambda: ring.use("a", "kraken", right="fly"),
        lambda: ring.use("a", "kraken", exit=1),
        lambda: ring.told("two", S.NONCE),
        lambda: ring.told(None, S.NONCE),
        lambda: ring.told("one", "tired"),
        lambda: ring.told("one", S.RESTED),
        lambda: ring.told("one", S.RATE_LIMITED, until=1.5),
        lambda: ring.told("one", S.PERMISSION, right="fly"),
        lambda: ring.health("two"),
        lambda: ring.probed("two", GOOD),
    ):
        with pytest.raises(InvalidKey):
            ask()
    assert ring.health("one") is H.HEALTHY


# -- everything at once --------------------------------------------------------------------------------------------------

NAMES = ["k1", "k2", "k3", "k4", "k5"]
PLACES = {"k1": ("x", ""), "k2": ("x", ""), "k3": ("x", "b"), "k4": ("y", ""), "k5": ("y", "")}
SIGNS = [sign for sign in Sign if sign not in (S.RESTED, S.CLEARED, S.EXPIRED)]


class Rings(RuleBasedStateMachine):
    """Vaults come and go, venues say what they like, the clock jumps: no key is ever shared, none is used that may not be."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.ring = KeyRing([key(n, account=a, vault=v) for n, (a, v) in PLACES.items()], clock=self.clock, nonces=Nonces(self.clock))
        self.users = {name: set() for name in NAMES}
        self.accounts = {}
        self.present = {}
        self.last = dict.fromkeys(NAMES, -1)

    @rule(
        vault=st.sampled_from("abc"),
        leaves=st.booleans(),
        right=st.sampled_from(["read", "trade"]),
        sign=st.none() | st.sampled_from(SIGNS),
    )
    def operate(self, vault, leaves, right, sign):
        before = self.present.get(vault)
        stays = before is not None and self.ring.health(before, right) is H.HEALTHY
        fares = {name: self.ring.health(name, right) for name in NAMES}

        def own(vault):
            mine = [n for n in NAMES if self.users[n] <= {vault} and PLACES[n][1] in ("", vault)]
            return [n for n in mine if self.accounts.get(vault, PLACES[n][0]) == PLACES[n][0]]

        async def main():
            async with self.ring.use(vault, "kraken", right=right, exit=leaves) as held:
                nonce = held.nonce()
                assert nonce > self.last[held.name]
                self.last[held.name] = nonce
                if sign is not None:
                    held.told(sign)
                return held.name, held.health, held.lent

        try:
            name, health, lent = anyio.run(main)
        except NoKey:
            assert not stays
            mine = own(vault)
            assert not [n for n in mine if fares[n].may_open or (leaves and fares[n].may_exit)]
            if leaves and vault in self.accounts:
                assert not [n for n in NAMES if PLACES[n][0] == self.accounts[vault] and fares[n].may_exit]
            return
        assert health is fares[name] and (health.may_open or (leaves and health.may_exit))
        if lent:
            assert leaves and not [n for n in own(vault) if fares[n].may_open]
            assert self.accounts.get(vault, "x" if vault == "b" else None) == PLACES[name][0]
            assert self.users[name] or PLACES[name][1]  # it is somebody's
            return
        assert name == before or not stays
        self.users[name].add(vault)
        assert self.accounts.setdefault(vault, PLACES[name][0]) == PLACES[name][0]
        if health.may_open:
            self.present[vault] = name

    @rule(name=st.sampled_from(NAMES), sign=st.sampled_from(SIGNS), right=st.none() | st.sampled_from(["read", "trade"]))
    def say(self, name, sign, right):
        self.ring.told(name, sign, right=right)

    @rule(name=st.sampled_from(NAMES))
    def probe(self, name):
        before = self.ring.health(name, "trade")
        after = self.ring.probed(name, GOOD)
        assert before.may_exit or after is not H.HEALTHY

    @rule(name=st.sampled_from(NAMES))
    def clear(self, name):
        if self.ring.health(name) is not H.HEALTHY:
            self.ring.clear(name, by="ann", why="looked")

    @rule(step=st.integers(-HOUR, HOUR))
    def wait(self, step):
        self.clock.now += step

    @invariant()
    def no_key_is_shared(self):
        assert all(len(users) <= 1 for users in self.users.values())
        assert all(users <= {self.ring.vault_of(name)} for name, users in self.users.items())


Rings.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestRings = Rings.TestCase
