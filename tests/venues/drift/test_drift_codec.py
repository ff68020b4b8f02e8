"""The tables of offsets and the codec over them: what they promise for every layout, and the bytes of both programs."""

from __future__ import annotations

import hashlib
import random
import struct as native

import pytest

pytest.importorskip("solders")

from hypothesis import given
from hypothesis import strategies as st

import drift_bytes
import drift_reader
from sleeves.venues.drift import layouts
from sleeves.venues.drift.codec import TAIL, Codec
from sleeves.venues.drift.deployment import DEPLOYMENTS, DRIFT_V2, VELOCITY, VELOCITY_CLOB
from sleeves.venues.drift.layouts import DISCRIMINATORS, WIDTHS, struct
from strategies import law

ALL = [(name, kind) for name, one in DEPLOYMENTS.items() for kind in one.layouts]


def parts_of(layout):
    yield layout
    for one in layout.fields:
        if one.of is not None:
            yield from parts_of(one.of)


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_fields_lie_side_by_side_and_fill_their_layout(name, kind):
    for layout in parts_of(DEPLOYMENTS[name].layout(kind)):
        end = 8 if layout.discriminator else 0
        for one in layout.fields:
            assert one.offset == end
            end += one.size
        assert end == layout.size


def test_discriminators_are_the_hashes_of_their_names():
    for name, told in DISCRIMINATORS.items():
        assert hashlib.sha256(f"account:{name}".encode()).digest()[:8].hex() == told


# Sizes: reference/drift.md, 2.1 and 5; the offsets of Velocity's markets (328, 544) others saw on chain.
SIZES = {
    "drift": {"User": 4376, "UserStats": 240, "PerpMarket": 1216, "SpotMarket": 776, "State": 992, "PythLazerOracle": 48},
    "velocity": {"User": 4496, "UserStats": 240, "PerpMarket": 1304, "SpotMarket": 808, "State": 1752, "PythLazerOracle": 48},
    "velocity-clob": {"User": 4560, "PythLazerOracle": 48},
}


def test_sizes_strides_and_what_was_seen_on_chain():
    for name, sizes in SIZES.items():
        assert {kind: layout.size for kind, layout in DEPLOYMENTS[name].layouts.items()} == sizes
    strides = {name: DEPLOYMENTS[name].layout("User").by_name["perp_positions"].of.size for name in SIZES}
    assert strides == {"drift": 96, "velocity": 80, "velocity-clob": 88}
    assert VELOCITY.layout("SpotMarket").offset("cumulative_deposit_interest") == 328
    assert VELOCITY.layout("PerpMarket").offset("order_step_size") == 544


def test_offsets_by_path():
    user = DRIFT_V2.layout("User")
    assert user.offset("perp_positions") == user.offset("perp_positions.0.last_cumulative_funding_rate") == 424
    assert user.offset("perp_positions.7.market_index") == 424 + 7 * 96 + 92
    assert user.offset("orders.31.status") == 1192 + 31 * 96 + 82
    assert DRIFT_V2.layout("PerpMarket").offset("amm.historical_oracle_data.last_oracle_price") == 40 + 32
    for wrong in ("nothing", "perp_positions.8.market_index", "perp_positions.0.nothing", "authority.0", "status.more", "0"):
        with pytest.raises(KeyError):
            user.offset(wrong)


def test_a_layout_that_does_not_sum_up_is_refused():
    assert struct("X", "1", 3, "a:u8 b:u16").size == 3
    for size in (2, 4):
        with pytest.raises(ValueError, match=f"the fields of X 1 are 3 bytes, and the layout is {size}"):
            struct("X", "1", size, "a:u8 b:u16")


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_a_record_of_every_field_comes_back(name, kind):
    codec = DEPLOYMENTS[name].codec(kind)
    record = drift_bytes.numbered(codec.layout)
    data = codec.encode(record)
    assert len(data) == codec.layout.size
    assert codec.decode(data) == record
    assert codec.encode(codec.decode(data)) == data


@law
@given(st.sampled_from(ALL), st.integers(0, 2**32), st.integers(0, 300))
def test_law_any_bytes_come_back_as_they_were(which, seed, spare):
    name, kind = which
    codec = DEPLOYMENTS[name].codec(kind)
    head, size = codec.layout.discriminator, codec.layout.size
    data = head + random.Random(seed).randbytes(size - len(head) + spare)
    record = codec.decode(data)
    assert codec.encode(record) == data
    assert record.get(TAIL, b"") == data[size:]


def test_spare_bytes_are_kept_and_too_few_are_refused():
    codec = VELOCITY.codec("PerpMarket")
    data = codec.encode(codec.blank())
    assert codec.decode(data + b"\7" * 256)[TAIL] == b"\7" * 256
    assert TAIL not in codec.decode(data)
    with pytest.raises(ValueError, match="has 1304 bytes at least, and here are 1303"):
        codec.decode(data[:-1])
    with pytest.raises(ValueError, match="begins with 0adf0c2c6bf537f7, and here it is 0bdf0c2c6bf537f7"):
        codec.decode(b"\x0b" + data[1:])


@pytest.mark.parametrize("kind", [kind for kind in WIDTHS if kind != "key"])
def test_both_ends_of_every_width(kind):
    codec = Codec(struct("X", "1", WIDTHS[kind] + 1, f"a:{kind} b:u8"))
    bits = 8 * WIDTHS[kind]
    low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for number in (low, high):
        data = codec.encode({"a": number, "b": 9})
        assert data == number.to_bytes(WIDTHS[kind], "little", signed=kind[0] == "i") + b"\x09"
        assert codec.decode(data) == {"a": number, "b": 9}
    for number in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"X.a is a {kind}, and {number} is outside it"):
            codec.encode({"a": number, "b": 9})


def test_records_that_are_none_are_refused():
    codec = Codec(struct("X", "1", 37, "a:u8 who:key pad:bytes*4"))
    whole = {"a": 1, "who": drift_bytes.AUTHORITY, "pad": bytes(4)}
    assert codec.decode(codec.encode(whole)) == whole
    for change, why in (
        ({"a": "1"}, "X.a is a whole number"),
        ({"who": "nobody"}, "X.who is an address"),
        ({"pad": bytes(3)}, "X.pad is 4 bytes"),
        ({"more": 1}, "more not in the layout"),
    ):
        with pytest.raises(ValueError, match=why):
            codec.encode(whole | change)
    with pytest.raises(ValueError, match="a missing"):
        codec.encode({name: value for name, value in whole.items() if name != "a"})
    user = VELOCITY.codec("User")
    record = user.blank()
    with pytest.raises(ValueError, match=r"User.perp_positions has 8 slots, and here are 7"):
        user.encode(record | {"perp_positions": record["perp_positions"][:7]})


@pytest.mark.parametrize("slot", [0, 1, 7])
@pytest.mark.parametrize(("deployment", "stride"), [(DRIFT_V2, 96), (VELOCITY, 80), (VELOCITY_CLOB, 88)], ids=["drift", "velocity", "clob"])
def test_a_position_lies_where_its_slot_and_stride_say(deployment, stride, slot):
    codec = deployment.codec("User")
    record = codec.blank()
    record["perp_positions"][slot] |= {"base_asset_amount": -100 * 10**9, "market_index": 24}
    data = codec.encode(record)
    start = 424 + stride * slot
    assert native.unpack_from("<q", data, start + 8) == (-100 * 10**9,)
    market = {96: 92, 80: 76, 88: 76}[stride]
    assert native.unpack_from("<H", data, start + market) == (24,)
    other = [at for at in range(8, len(data)) if data[at] and not start <= at < start + stride]
    assert other == []


@pytest.mark.parametrize("wrong", [80, 88, 96])
def test_the_wrong_stride_differs_beyond_slot_0(wrong):
    """The seed's 88 read slot 0 well and every later one as garbage: that is why slots 1 and 7 are looked at."""
    right = {96: DRIFT_V2, 80: VELOCITY, 88: VELOCITY_CLOB}
    for stride, deployment in right.items():
        data = drift_bytes.encoded(deployment, "User", drift_bytes.user(deployment))
        bases = [drift_reader.at(data, 424 + wrong * slot + 8, "i64") for slot in (0, 1, 7)]
        told = [deployment.codec("User").decode(data)["perp_positions"][slot]["base_asset_amount"] for slot in (0, 1, 7)]
        assert (bases == told) is (wrong == stride)
        assert bases[0] == told[0]


def test_versions_of_one_account_share_its_discriminator():
    """So it can choose no layout: the bytes of one are bytes of the other, and what comes out is garbage."""
    data = drift_bytes.encoded(VELOCITY, "User", drift_bytes.user(VELOCITY))
    garbage = DRIFT_V2.codec("User").decode(data)
    assert [one["market_index"] for one in garbage["perp_positions"]] != [
        one["market_index"] for one in VELOCITY.codec("User").decode(data)["perp_positions"]
    ]
    assert {table["User"].discriminator for table in (layouts.DRIFT, layouts.VELOCITY, layouts.VELOCITY_CLOB)} == {data[:8]}
