"""What a page's message comes to, with no wire: tickets, rates, answers now and later."""

from __future__ import annotations

import anyio
import pytest
from stand import make_desk

from sleeves.control import Control
from sleeves.dashboard.clerk import TICKET_LASTS, Clerk, Tickets
from sleeves.dashboard.messages import Answer, Ask, Do, Hello, Ping, Pong, Preview, Previewed, Refused, Resync
from sleeves.errors import VaultError
from sleeves.instructions import from_terms
from sleeves.shell import carry

VAULT = "core:main:USD"


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def instruction(**terms):
    return from_terms({"what": "allocate", "id": "a-1", "by": "ann", "sleeve": "quiet", "amount": "5"} | terms)


def clerk_of(stand, **terms):
    return Clerk(stand.desk, Control(stand.desk, stand.venue), **terms)


def heard(visit, *messages):
    told = []

    async def main():
        with anyio.fail_after(20):
            for message in messages:
                await visit.hear(message, told.append)

    anyio.run(main)
    return told


# -- tickets ---------------------------------------------------------------------------------------------------------------


def test_a_ticket_is_for_one_session_these_terms_once_and_not_for_long():
    clock = Clock()
    tickets = Tickets(clock=clock)
    name = tickets.give("s", instruction())
    assert tickets.take(None, "s", instruction()) == "needs_ticket"
    assert tickets.take("unknown", "s", instruction()) == "ticket_expired"
    assert tickets.take(name, "other", instruction()) == "ticket_mismatch"
    for terms in ({"amount": "5.0"}, {"sleeve": "flash"}, {"id": "a-2"}, {"by": "bob"}, {"why": "x"}):
        assert tickets.take(name, "s", instruction(**terms)) == "ticket_mismatch"
    assert tickets.take(name, "s", instruction()) == ""
    assert tickets.take(name, "s", instruction()) == "ticket_expired"
    late = tickets.give("s", instruction())
    clock.now += TICKET_LASTS
    assert tickets.take(late, "s", instruction()) == "ticket_expired"


def test_tickets_are_bounded_random_and_old_ones_are_let_go():
    clock = Clock()
    tickets = Tickets(clock=clock)
    names = [tickets.give("s", instruction()) for _ in range(Tickets.MOST + 10)]
    assert len(tickets._given) == Tickets.MOST
    assert len(set(names)) == len(names)
    assert tickets.take(names[0], "s", instruction()) == "ticket_expired"
    assert tickets.take(names[-1], "s", instruction()) == ""
    clock.now += TICKET_LASTS
    tickets.give("s", instruction())
    assert len(tickets._given) == 1


# -- messages --------------------------------------------------------------------------------------------------------------


def test_hello_and_resync_are_the_wires():
    visit = clerk_of(make_desk(contracts=False)).visit("s", "ann")
    told = []

    async def main():
        assert await visit.hear(Hello(), told.append) is False
        assert await visit.hear(b'{"type":"resync"}', told.append) is False
        assert await visit.hear(Resync(), told.append) is False
        assert await visit.hear(Ping(), told.append) is True

    anyio.run(main)
    assert [type(one) for one in told] == [Pong]


def test_times_are_those_of_the_clock_that_is_handed_in():
    clerk = clerk_of(make_desk(contracts=False), now=lambda: 12.5)
    visit = clerk.visit("s", "ann")
    pong, seen = heard(visit, Ping(), Preview({"what": "set_tradeable", "id": "t", "vault": VAULT, "amount": "9000"}))
    assert pong.at_ms == 12_500
    assert isinstance(seen, Previewed)
    assert seen.expires_ms == 12_500 + 30_000


def test_messages_have_their_rate_where_it_is_counted():
    clock = Clock()
    clerk = clerk_of(make_desk(contracts=False), clock=clock)
    counted, free = clerk.visit("s", "ann"), clerk.visit("t", "ann", rate=False)
    ask = b'{"type":"ask","id":"r-7"}'
    told = heard(counted, *[ask] * 41)
    assert [one.code for one in told] == ["bad_instruction"] * 40 + ["too_fast"]
    assert {one.id for one in told} == {"r-7"}
    clock.now += 1
    assert heard(counted, ask)[0].code == "bad_instruction"
    assert "too_fast" not in [one.code for one in heard(free, *[ask] * 100)]


def test_previews_are_counted_by_session_over_all_of_its_wires():
    clock = Clock()
    clerk = clerk_of(make_desk(contracts=False), clock=clock)
    looked = Preview({"what": "pause", "id": "p", "target": "quiet"})
    told = heard(clerk.visit("s", "ann"), *[looked] * 6) + heard(clerk.visit("s", "ann"), *[looked] * 6)
    assert [type(one) for one in told] == [Previewed] * 10 + [Refused] * 2
    assert isinstance(heard(clerk.visit("t", "bob"), looked)[0], Previewed)


def test_the_answer_is_told_and_what_became_of_it_later():
    stand = make_desk(engines=2, contracts=False)
    clerk = clerk_of(stand)
    visit = clerk.visit("s", "ann")
    terms = {"what": "deposit", "id": "d-1", "vault": VAULT, "amount": "5"}
    (seen,) = heard(visit, Preview(terms))
    told = []

    async def main():
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(visit.hear, Do(terms, seen.ticket), told.append)
                while not told:
                    await anyio.sleep(0.01)
                assert [one.open for one in told] == [True]
                while stand.venue._waiting:
                    await carry(stand.desk, list(stand.desk.step(stand.venue._waiting.popleft())), stand.venue)

    anyio.run(main)
    assert [(type(one), one.id, one.open) for one in told] == [(Answer, "d-1", True), (Answer, "d-1", False)]
    assert told[-1].code == "confirmed"


def test_what_is_asked_for_again_is_answered_the_same_and_done_once():
    stand = make_desk(engines=2, contracts=False)
    clerk = clerk_of(stand)
    visit = clerk.visit("s", "ann")
    terms = {"what": "set_tradeable", "id": "t-1", "vault": VAULT, "amount": "9000"}
    (seen,) = heard(visit, Preview(terms))
    first, again, without = heard(visit, Do(terms, seen.ticket), Do(terms, seen.ticket), Do(terms))
    assert first.ok
    assert again == without == first
    (other,) = heard(visit, Do({**terms, "amount": "8000"}))
    assert other.code == "id_used"
    assert str(stand.vault.tradeable) == "9000 USD"
    assert heard(visit, Ask("t-1"))[0] == first


def test_a_page_that_only_shows_takes_no_instruction():
    stand = make_desk(contracts=False)
    visit = Clerk(stand.desk).visit("s", "ann")
    count = len(stand.desk.books.journal)
    terms = {"what": "kill", "id": "k", "target": "desk:main", "flatten": True}
    told = heard(visit, Preview(terms), Do(terms), Ask("k"))
    assert [one.code for one in told] == ["read_only"] * 3
    assert [one.id for one in told] == ["k"] * 3
    assert len(stand.desk.books.journal) == count

    async def outcome():
        await Clerk(stand.desk).outcome("k")

    with pytest.raises(VaultError, match="no control"):
        anyio.run(outcome)


def test_an_instruction_is_not_broken_off_with_its_page():
    stand = make_desk(engines=2, contracts=False)
    clerk = clerk_of(stand)
    told = []

    async def main():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await clerk.visit("s", "ann").hear(Do({"what": "pause", "id": "p-1", "target": "quiet"}), told.append)

    anyio.run(main)
    assert stand.sleeves["quiet"].status == "paused"
    assert clerk.control.find("p-1").ok
