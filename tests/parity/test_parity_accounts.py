"""Every account among the cases: driftpy's anchor coder and our codec read the same bytes at the same places, and write them again."""

from __future__ import annotations

import pytest

pytest.importorskip("driftpy", reason="driftpy is not installed: .ci/parity makes the environment that has it")

from parity_world import KINDS, cases, fixtures
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket
from sleeves.venues.drift import accounts
from sleeves.venues.drift.accounts import WrongAccount
from sleeves.venues.drift.deployment import DRIFT_V2, DRIFT_V2_LEGACY, VELOCITY
from sleeves.venues.drift.driftpy import Disagreement, Driftpy

ALL = list(fixtures()) or [pytest.param("", "", b"", marks=pytest.mark.skip(reason="SLEEVES_CASES is not set"))]
VIEWS = {"User": accounts.User, "UserStats": accounts.UserStats, "PerpMarket": accounts.PerpMarket, "SpotMarket": accounts.SpotMarket}
LEAST = {"User": 1000, "UserStats": 31, "PerpMarket": 130, "SpotMarket": 80}
"""How many values driftpy's IDL has of each, at least: a test of fewer would not have looked at the whole account."""


@pytest.fixture(scope="module")
def other():
    return Driftpy()


def address_of(view, record):
    if view is accounts.User:
        return DRIFT_V2.user(record["authority"], record["sub_account_id"])
    return DRIFT_V2.user_stats(record["authority"]) if view is accounts.UserStats else record["pubkey"]


@pytest.mark.parametrize(("name", "kind", "data"), ALL)
def test_the_two_read_and_write_the_same_bytes(other, name, kind, data):
    assert other.agree(kind, data) >= LEAST[kind], name
    assert other.encode(kind, other.decode(data)) == data
    assert DRIFT_V2.codec(kind).encode(DRIFT_V2.codec(kind).decode(data)) == data


@pytest.mark.parametrize(("name", "kind", "data"), ALL)
def test_our_views_say_what_driftpy_says(other, name, kind, data):
    record = DRIFT_V2.codec(kind).decode(data)
    address = address_of(VIEWS[kind], record)
    try:
        view = other.read(VIEWS[kind], address, DRIFT_V2.program_id, data, 7)
    except WrongAccount as error:
        # Users of the time of liquidity shares: their bytes are the same, and what they mean is only told by the older version
        assert kind == "User" and "DRIFT_V2_LEGACY" in str(error), name
        view = Driftpy(DRIFT_V2_LEGACY).read(VIEWS[kind], address, DRIFT_V2.program_id, data, 7)
    theirs = other.decode(data)
    if kind == "User":
        assert (view.authority, view.sub, view.next_order_id) == (str(theirs.authority), theirs.sub_account_id, theirs.next_order_id)
        held = [one for one in theirs.perp_positions if one.base_asset_amount or one.quote_asset_amount or one.open_orders or one.lp_shares]
        assert [(one.market, one.base, one.quote, one.entry, one.break_even) for one in view.perps] == [
            (one.market_index, one.base_asset_amount, one.quote_asset_amount, one.quote_entry_amount, one.quote_break_even_amount)
            for one in held
        ]
        coins = [one for one in theirs.spot_positions if one.scaled_balance or one.open_orders]
        assert [(one.market, one.balance, one.borrowed) for one in view.spots] == [
            (one.market_index, one.scaled_balance, one.balance_type.index == 1) for one in coins
        ]
        assert [one.id for one in view.orders] == [one.order_id for one in theirs.orders if one.status.index == 1]
    elif kind == "SpotMarket":
        assert (view.index, view.mint, view.oracle) == (theirs.market_index, str(theirs.mint), str(theirs.oracle))
        assert (view.deposit_balance, view.borrow_balance) == (theirs.deposit_balance, theirs.borrow_balance)
        assert (view.deposit_index, view.borrow_index) == (theirs.cumulative_deposit_interest, theirs.cumulative_borrow_interest)
    elif kind == "PerpMarket":
        amm = theirs.amm
        assert (view.index, view.oracle, view.quote_market) == (theirs.market_index, str(amm.oracle), theirs.quote_spot_market_index)
        assert (view.cumulative_funding_long, view.cumulative_funding_short) == (
            amm.cumulative_funding_rate_long,
            amm.cumulative_funding_rate_short,
        )
        assert (view.tick, view.step, view.min_size) == (amm.order_tick_size, amm.order_step_size, amm.min_order_size)


def test_two_readings_that_differ_are_a_disagreement(other, monkeypatch):
    _, kind, data = ALL[0] if isinstance(ALL[0], tuple) else ("", "", b"")
    if not kind:
        pytest.skip("SLEEVES_CASES is not set")
    flipped = data[:104] + bytes([data[104] ^ 1]) + data[105:]
    assert other.agree(kind, flipped) == other.agree(kind, data)
    monkeypatch.setattr(Driftpy, "decode", lambda self, _raw, real=Driftpy.decode: real(self, flipped))
    with pytest.raises(Disagreement, match="at 104: driftpy reads"):
        other.agree(kind, data)


def test_another_account_and_another_program_are_refused(other):
    with pytest.raises(InvalidMarket, match="garbage"):
        Driftpy(VELOCITY)
    blank = bytes.fromhex(next(mark for mark, kind in KINDS.items() if kind == "User")) + bytes(4376 - 8)
    with pytest.raises(Disagreement, match="for a User, not for a SpotMarket"):
        other.leaves("SpotMarket", blank)
    with pytest.raises(KeyError):
        other.decode(bytes(4376))


def test_driftpy_reads_a_velocity_account_without_an_error(other):
    """The trap itself (reference, 0.3): the reason why a layout is never chosen by what the bytes look like."""
    raw = next((one for one in cases("user_accounts")["cases"] if one["id"] == "user.synthetic.velocity_2_165"), None)
    assert raw is not None
    import base64

    data = base64.b64decode(raw["data_base64"])
    garbage = other.decode(data)
    true = VELOCITY.codec("User").decode(data)["perp_positions"]
    read = [(one.market_index, one.base_asset_amount) for one in garbage.perp_positions]
    assert read != [(one["market_index"], one["base_asset_amount"]) for one in true]


def test_derived_addresses_are_the_same():
    from driftpy import addresses

    program, owner = Pubkey.from_string(DRIFT_V2.program_id), Pubkey.from_bytes(bytes(range(32)))
    assert str(addresses.get_state_public_key(program)) == DRIFT_V2.state()
    assert str(addresses.get_drift_client_signer_public_key(program)) == DRIFT_V2.signer()
    for number in (0, 1, 255, 256, 65535):
        assert str(addresses.get_user_account_public_key(program, owner, number)) == DRIFT_V2.user(str(owner), number)
        assert str(addresses.get_spot_market_public_key(program, number)) == DRIFT_V2.spot_market(number)
        assert str(addresses.get_spot_market_vault_public_key(program, number)) == DRIFT_V2.spot_vault(number)
        assert str(addresses.get_perp_market_public_key(program, number)) == DRIFT_V2.perp_market(number)
    assert str(addresses.get_user_stats_account_public_key(program, owner)) == DRIFT_V2.user_stats(str(owner))
