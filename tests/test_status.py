"""The status table: what it has can be done, what it lacks cannot, and nothing but a human loosens."""

from __future__ import annotations

import itertools

import pytest

from sleeves.errors import WrongStatus
from sleeves.status import HOLDS, TRANSITIONS, Hold, Latch, Lifter, Move, Status, next_status, worse, worst

S, M = Status, Move
STRICTNESS = [S.ACTIVE, S.STAND_BY, S.PAUSED, S.IMPAIRED, S.CLOSE_ONLY, S.HALTED, S.DEACTIVATED]
"""From the freest to the strictest, as the module's table of meanings orders them."""

BY_MOVE = [status for status in S if status is not S.IMPAIRED]
"""Only a latch makes something impaired: no move leads there."""

PAIRS = list(itertools.product(BY_MOVE, M))
HUMAN = {M.PAUSE, M.RESUME, M.CLEAR, M.REVIVE, M.KILL, M.START, M.DEACTIVATE, M.REACTIVATE}


@pytest.mark.parametrize(("status", "move"), PAIRS)
def test_a_move_is_in_the_table_or_refused_with_the_moves_that_are_open(status, move):
    if (status, move) in TRANSITIONS:
        assert next_status(status, move, "sleeve x") is TRANSITIONS[status, move]
        return
    with pytest.raises(WrongStatus) as refused:
        next_status(status, move, "sleeve x")
    said, _, open_moves = str(refused.value).partition("; from here it can ")
    assert said == f"sleeve x is {status}: it cannot {move}"
    assert open_moves.split(", ") == sorted(m.value for m in M if (status, m) in TRANSITIONS)


def test_the_table_leads_only_to_statuses_that_it_knows():
    assert {status for status, _ in TRANSITIONS} == set(BY_MOVE)
    assert {move for _, move in TRANSITIONS} == set(M)
    assert set(TRANSITIONS.values()) <= set(BY_MOVE)


@pytest.mark.parametrize(
    ("status", "opens", "exits"),
    [
        (S.STAND_BY, False, True),
        (S.ACTIVE, True, True),
        (S.PAUSED, False, True),
        (S.IMPAIRED, False, True),
        (S.CLOSE_ONLY, False, True),
        (S.HALTED, False, False),
        (S.DEACTIVATED, False, False),
    ],
)
def test_what_a_status_allows(status, opens, exits):
    assert (status.may_open, status.may_exit) == (opens, exits)


# -- worse -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), list(itertools.product(S, S)))
def test_worse_is_the_stricter_of_two_in_either_order(a, b):
    expected = max(a, b, key=STRICTNESS.index)
    assert worse(a, b) is worse(b, a) is expected
    assert worse(a, a) is a
    assert worse(worse(a, b), b) is expected


@pytest.mark.parametrize(("a", "b", "c"), list(itertools.product(S, S, S)))
def test_worse_of_many_does_not_depend_on_the_order(a, b, c):
    assert worse(worse(a, b), c) is worse(a, worse(b, c))


@pytest.mark.parametrize(("a", "b"), list(itertools.product(S, S)))
def test_the_worse_of_two_allows_nothing_that_one_of_them_forbids(a, b):
    strict = worse(a, b)
    assert not strict.may_open or (a.may_open and b.may_open)
    assert not strict.may_exit or (a.may_exit and b.may_exit)


# -- where moves lead --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", BY_MOVE)
def test_a_kill_halts_from_everywhere_and_leaves_closed_what_is_closed(status):
    assert next_status(status, M.KILL, "x") is (S.DEACTIVATED if status is S.DEACTIVATED else S.HALTED)


@pytest.mark.parametrize("status", BY_MOVE)
@pytest.mark.parametrize("move", [M.BREACH, M.KILL, M.PAUSE, M.DEACTIVATE])
def test_a_breach_a_kill_and_a_pause_never_loosen(status, move):
    """But for a fact that reaches what is closed: something is in it again, and must be able to leave."""
    if (status, move) in TRANSITIONS and (status, move) != (S.DEACTIVATED, M.BREACH):
        after = next_status(status, move, "x")
        assert worse(status, after) is after


@pytest.mark.parametrize("status", BY_MOVE)
def test_a_breach_forbids_new_risk_from_everywhere(status):
    assert not next_status(status, M.BREACH, "x").may_open


@pytest.mark.parametrize(("status", "move"), [pair for pair in PAIRS if TRANSITIONS.get(pair, S.HALTED).may_open])
def test_new_risk_is_allowed_by_starting_resuming_or_clearing_alone(status, move):
    assert move in {M.START, M.RESUME, M.CLEAR}


@pytest.mark.parametrize("status", [S.CLOSE_ONLY, S.HALTED, S.DEACTIVATED])
def test_an_engine_cannot_start_where_the_books_or_a_human_stopped(status):
    with pytest.raises(WrongStatus):
        next_status(status, M.START, "x")
    with pytest.raises(WrongStatus):
        next_status(status, M.RESUME, "x")


@pytest.mark.parametrize("status", BY_MOVE)
def test_from_everywhere_a_human_can_lead_back_to_work(status):
    reached, edge = {status}, [status]
    while edge:
        at = edge.pop()
        for move in HUMAN:
            after = TRANSITIONS.get((at, move))
            if after is not None and after not in reached:
                reached.add(after)
                edge.append(after)
    assert S.ACTIVE in reached
    assert S.HALTED in reached


def after(status, *moves):
    for move in moves:
        status = next_status(status, move, "x")
    return status


def test_a_killed_sleeve_comes_back_paused():
    assert after(S.ACTIVE, M.KILL, M.REVIVE) is S.PAUSED
    assert after(S.ACTIVE, M.KILL, M.REVIVE, M.RESUME) is S.ACTIVE


@pytest.mark.parametrize(
    ("start", "moves"),
    [
        (S.ACTIVE, [M.PAUSE, M.BREACH, M.CLEAR]),
        (S.ACTIVE, [M.BREACH, M.PAUSE, M.CLEAR]),
        (S.STAND_BY, [M.PAUSE, M.BREACH, M.CLEAR]),
    ],
    ids=["paused, then a breach", "a breach, then paused", "stand by"],
)
def test_a_human_s_pause_outlives_a_breach(start, moves):
    """No new buys until somebody says resume: looking at a breach is not that."""
    assert not after(start, *moves).may_open


def test_a_sleeve_without_an_engine_is_not_active_once_its_breach_is_cleared():
    assert after(S.STAND_BY, M.BREACH, M.CLEAR) is not S.ACTIVE


# -- what holds a subject ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", Hold)
def test_each_cause_has_a_rule_that_forbids_new_risk_and_lets_exits_pass(cause):
    rule = HOLDS[cause]
    assert not rule.status.may_open
    assert rule.status.may_exit


@pytest.mark.parametrize("cause", Hold)
@pytest.mark.parametrize(("at", "human"), list(itertools.product([99, 100], [True, False])))
def test_who_may_lift_and_when(cause, at, human):
    """A human at any time, the desk when it has rested; each only where the rule names him."""
    one = Latch(cause, 0, "x", "", 100)
    lifter = HOLDS[cause].lifted_by
    expected = lifter is not Lifter.DESK if human else lifter is not Lifter.HUMAN and at >= 100
    assert one.may_lift(at, human=human) is expected
    assert one.status is HOLDS[cause].status


def test_the_worst_of_all():
    assert worst([]) is S.ACTIVE
    assert worst([S.PAUSED, S.IMPAIRED, S.ACTIVE]) is S.IMPAIRED
