"""The living books against the fold of their journal: what a restart would bring back is what stands."""

from __future__ import annotations

from sleeves import Books, Desk, Treasury
from sleeves.gates import CORE
from sleeves.journal import Memory
from sleeves.ledger import Ledger
from sleeves.state import State
from sleeves.status import Status


def ledger_of(ledger: Ledger):
    """What a ledger says, however its accounts came about."""
    dumped = ledger.dump()
    return {
        "cells": sorted(cell for cell in dumped["cells"] if cell[-1] != "0"),
        "flows": sorted(flow for flow in dumped["flows"] if flow[-1] != "0"),
    }


def of_state(state: State, names=None):
    """What the fold of a journal says; of `names` alone where given: sleeves that have an engine."""
    seats = {name: one for name, one in state.sleeves.items() if names is None or name in names}
    return {
        "ledger": ledger_of(state.ledger),
        "instruments": state.instruments,
        "vaults": {
            owner: (
                v.asset,
                v.wallet,
                v.reserve,
                v.cap,
                v.status,
                v.volatility_ppm if v.reserve is not None and v.reserve.flexes else None,
                v.expected,
                v.observed,
            )
            for owner, v in state.vaults.items()
        },
        "sleeves": {name: (one.vault, one.policy, one.status, one.account) for name, one in state.sleeves.items()},
        "seats": {name: (one.counter, one.last_exit, one.flatten_by, one.sent) for name, one in seats.items()},
        "orders": {key: (one.order, one.filled, one.status, one.closes) for key, one in state.orders.items()},
        "flights": {name: flight for name, flight in state.flights.items() if names is None or flight.record.sleeve in names},
        "most_brought": {k: v for k, v in state.most_brought.items() if v},
        "asked": state.asked,
        "transfers": state.transfers,
        "moves": {symbol: list(moves) for symbol, moves in state.moves.items()},
        "quarantine": state.quarantine,
        "residuals": state.residuals,
        "explained": set(state.explained),
        "last": state.last,
        "reconciled": state.reconciled,
        "standings": {subject: status for subject, status in state.standings.items() if status is not Status.ACTIVE},
        "latches": {subject: latches for subject, latches in state.latches.items() if latches},
    }


def of_desk(desk):
    """What a living desk says."""
    books, vaults = desk.books, desk.treasury.vaults
    working = {one.order.id: one for one in desk._blotter._orders.values() if not one.status.done}
    return {
        "ledger": ledger_of(books.ledger),
        "instruments": books.instruments,
        "vaults": {
            v.owner: (
                v.asset,
                v.wallet,
                v.reserve_rule,
                v.cap,
                v.own_status,
                v.volatility_ppm if v.reserve_rule is not None and v.reserve_rule.flexes else None,
                v._expected,
                v._observed,
            )
            for v in vaults
        },
        "sleeves": {name: (v.owner, s.policy, s.own_status, s.account) for v in vaults for name, s in v.sleeves.items()},
        "seats": {name: (seat.counter, seat.view._last_exit, seat.flatten_by, seat.view._sent) for name, seat in desk._seats.items()},
        "orders": {key: (one.order, one.filled, one.status, one.closes) for key, one in working.items()},
        "flights": desk._bundles.flights,
        "most_brought": {k: v for k, v in books.most_brought.items() if v},
        "asked": {key: vault.owner for key, vault in desk._transfers._asked.items()},
        "transfers": desk._transfers._counter,
        "moves": {symbol: list(moves) for symbol, moves in desk._netting._moves.items()},
        "quarantine": books.quarantine,
        "residuals": books.residuals,
        "explained": books.explained,
        "last": books.last,
        "reconciled": books.reconciled,
        "standings": {
            one._subject: one.own_status
            for one in (desk._standings.desk, *desk._standings.venues.values())
            if one.own_status is not Status.ACTIVE
        },
        "latches": {one._subject: one.latches for one in desk._standings.all() if one.latches},
    }


def assert_stands(desk, state: State):
    """The desk is what its journal says, part by part, so that a difference names itself."""
    said, stood = of_state(state, desk._seats), of_desk(desk)
    for part, known in said.items():
        assert known == stood[part], f"{part}: the journal says {known}, the desk {stood[part]}"


def reopened(desk, *, snapshot=False, **terms):
    """The same desk after a crash: its journal as text, read back, folded; engines assigned again. Nothing else survives."""
    if snapshot:
        desk.books.snapshot()
    journal = Memory.read(list(desk.books.journal.lines()))
    kept = desk.books.journal.load()
    if kept is not None:
        journal._snapshot = kept
    treasury = Treasury.reopen(Books(journal))
    again = Desk(*treasury.vaults, **terms)
    sleeves = {name: sleeve for vault in treasury.vaults for name, sleeve in vault.sleeves.items()}
    for name, seat in desk._seats.items():
        again.assign(seat.engine, to=sleeves[name], backing=seat.vault.backing, gates=seat.gates[len(CORE) :])
    return again
