"""Events and error numbers: driftpy's IDL and our tables say the same of Drift."""

from __future__ import annotations

import json
from importlib import resources

import pytest

pytest.importorskip("driftpy", reason="driftpy is not installed: .ci/parity makes the environment that has it")

from anchorpy import Coder, Idl
from attrs import evolve
from test_drift_events import DEPOSITED, LIQUIDATED, samples

from sleeves.venues.drift.deployment import DRIFT_V2
from sleeves.venues.drift.events import Deposited, Liquidation, Other, encode_event, events_of, log_line
from sleeves.venues.drift.faults import fault_of

IDL = (resources.files("driftpy") / "idl" / "drift.json").read_text("utf-8")


def test_driftpy_reads_every_event_that_we_write():
    coder = Coder(Idl.from_json(IDL))
    # its IDL is of the time before deposits said who signed and liquidations had flags
    older = {Deposited: evolve(DEPOSITED, signer=None, after=None), Liquidation: evolve(LIQUIDATED, flags=None)}
    for event in samples(DRIFT_V2):
        if isinstance(event, Other):
            continue
        written = older.get(type(event), event)
        raw = encode_event(DRIFT_V2, written)
        read = coder.events.parse(raw)
        assert read is not None, type(event).__name__
        theirs = read.data
        assert theirs.ts == written.at
        if hasattr(written, "user") and hasattr(theirs, "user"):
            assert str(theirs.user) == written.user
        if hasattr(theirs, "order"):
            assert (theirs.order.order_id, theirs.order.oracle_price_offset, theirs.order.bit_flags) == (11, -10, 16)
        if type(event).__name__ == "OrderAction":
            assert (theirs.taker_order_id, theirs.maker_order_id) == (written.taker_order, written.maker_order)
            assert (theirs.base_asset_amount_filled, theirs.maker_fee, theirs.builder_fee) == (written.base, written.maker_fee, None)
            assert theirs.action.index == written.action
            assert theirs.action_explanation.index == written.why
        if type(event).__name__ == "FundingPayment":
            assert (theirs.funding_payment, theirs.amm_cumulative_funding_short) == (written.payment, written.funding_short)
        if isinstance(event, Deposited):
            assert (theirs.amount, theirs.direction.index, theirs.explanation.index) == (3, 1, 1)
            assert str(theirs.transfer_user) == written.other
        if isinstance(event, Liquidation):
            assert theirs.liquidate_perp.base_asset_amount == -9
            assert list(theirs.canceled_order_ids) == [6, 7]


def test_driftpys_own_parser_finds_them_in_our_lines():
    from types import SimpleNamespace

    from driftpy.events.parse import parse_logs

    program = SimpleNamespace(program_id=DRIFT_V2.program_id, coder=Coder(Idl.from_json(IDL)))
    older = {Deposited: evolve(DEPOSITED, signer=None, after=None), Liquidation: evolve(LIQUIDATED, flags=None)}
    told = [older.get(type(event), event) for event in samples(DRIFT_V2) if not isinstance(event, Other)]
    lines = [log_line(DRIFT_V2, event) for event in told]
    logs = [f"Program {DRIFT_V2.program_id} invoke [1]", *lines, f"Program {DRIFT_V2.program_id} success"]
    assert len(parse_logs(program, logs)) == len(told) == len(events_of(DRIFT_V2, logs))


def test_error_numbers_are_those_of_driftpys_idl():
    told = json.loads(IDL)["errors"]
    assert len(told) == 325
    for one in told:
        fault = fault_of(DRIFT_V2, one["code"])
        assert fault is not None
        assert fault.name == one["name"]
