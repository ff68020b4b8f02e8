"""Oracle accounts: how prices are scaled and snapped, and what is refused, on both sides of each threshold."""

from __future__ import annotations

import struct

import pytest

pytest.importorskip("solders")

import drift_bytes
from sleeves.venues.drift.accounts import WrongAccount
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY, VELOCITY_DEVNET
from sleeves.venues.drift.oracles import read_oracle
from sleeves.venues.drift.words import OracleSource as Source

SLOT = 1_000


def lazer(source=Source.PYTH_LAZER, deployment=VELOCITY, slot=SLOT, owner=None, **fields):
    data = drift_bytes.lazer(deployment, **fields)
    return read_oracle(deployment, source, owner or deployment.program_id, data, slot)


def test_lazer_is_scaled_as_the_program_scales():
    # protocol-v2 math/orders/tests.rs::swift_failure, the USDC feed: 99,999,999 at -8 is cut to 999,999; its confidence 9,901 to 99.
    told = lazer(price=99_999_999, conf=9_901)
    assert (told.price, told.confidence, told.slot, told.at) == (999_999, 99, SLOT, 1_750_772_057_200_000_000)
    assert told.source is Source.PYTH_LAZER
    assert lazer(price=12_345, exponent=-4).price == 1_234_500
    assert lazer(price=12_345, exponent=-6).price == 12_345
    assert lazer(price=7, exponent=-1).price == 700_000
    with pytest.raises(WrongAccount, match="its exponent 0 is too coarse for 1 coins a price"):
        lazer(price=7, exponent=0)
    assert lazer(price=10**13, exponent=-18, conf=1).price == 10


def test_a_price_for_a_thousand_or_a_million_coins():
    assert lazer(Source.PYTH_LAZER_1K, price=1_234_567, exponent=-10).price == 123_456
    assert lazer(Source.PYTH_LAZER_1M, price=1_234_567, exponent=-10).price == 123_456_700
    assert lazer(price=1_234_567, exponent=-10).price == 123
    # the program refuses an exponent that is no finer than the number of coins
    assert lazer(Source.PYTH_LAZER_1K, price=5, exponent=-4).price == 500_000
    with pytest.raises(WrongAccount, match="its exponent -3 is too coarse for 1000 coins a price"):
        lazer(Source.PYTH_LAZER_1K, price=5, exponent=-3)


@pytest.mark.parametrize(
    ("price", "conf", "told"),
    [
        (999_500, 500, 1_000_000),
        (999_499, 10**6, 999_499),
        (1_000_500, 500, 1_000_000),
        (1_000_501, 10**6, 1_000_501),
        (999_501, 498, 999_501),
        (999_501, 499, 1_000_000),
    ],
)
def test_a_stable_coin_is_one_within_five_basis_points_and_its_own_confidence(price, conf, told):
    assert lazer(Source.PYTH_LAZER_STABLE_COIN, price=price, exponent=-6, conf=conf).price == told
    assert lazer(price=price, exponent=-6, conf=conf).price == price


@pytest.mark.parametrize("exponent", [1, -19])
def test_exponents_outside_are_refused(exponent):
    with pytest.raises(WrongAccount, match=f"its exponent is {exponent}, and it is from -18 to 0"):
        lazer(exponent=exponent)


def test_what_is_no_price_is_refused():
    assert lazer(price=1, exponent=-6).price == 1
    for price in (0, -1):
        with pytest.raises(WrongAccount, match=f"its price is {price}, and a price is above 0"):
            lazer(price=price)
    with pytest.raises(WrongAccount, match="less than a millionth"):
        lazer(price=99, exponent=-8)
    assert lazer(price=100, exponent=-8).price == 1


def test_a_price_from_the_future_is_refused():
    assert lazer(posted=SLOT).slot == SLOT
    with pytest.raises(WrongAccount, match="posted in slot 1001, and was read in slot 1000"):
        lazer(posted=SLOT + 1)


def test_owner_length_and_discriminator():
    data = drift_bytes.lazer(VELOCITY)
    for owner, told, why in (
        (DRIFT_V2.program_id, data, "its owner is"),
        (VELOCITY.program_id, data[:-1], "48 bytes at least, and here are 47"),
        (VELOCITY.program_id, b"\0" + data[1:], "begins with 9f07a1f922517985"),
    ):
        with pytest.raises(WrongAccount, match=why):
            read_oracle(VELOCITY, Source.PYTH_LAZER, owner, told, SLOT)


def test_the_quote_asset_is_one_and_has_no_account():
    told = read_oracle(VELOCITY, Source.QUOTE_ASSET, "", b"", SLOT)
    assert (told.price, told.confidence, told.slot, told.at) == (1_000_000, 1, SLOT, None)


@pytest.mark.parametrize("source", [Source.SWITCHBOARD, Source.SWITCHBOARD_ON_DEMAND, Source.PRELAUNCH])
def test_sources_whose_layout_is_not_known_are_refused(source):
    with pytest.raises(WrongAccount, match="its layout is not known"):
        read_oracle(DRIFT_V2, source, DRIFT_V2.program_id, bytes(400), SLOT)


def test_a_source_that_the_deployment_does_not_take_is_refused():
    with pytest.raises(WrongAccount, match="velocity takes no such oracle"):
        read_oracle(VELOCITY, Source.PYTH_PULL, VELOCITY.receiver, pulled(), SLOT)


# The layout of Pyth's accounts is public: the push account's header, its aggregate at 208; the receiver's price update.


def pushed(price=150_123_456_78, conf=7_000_000, exponent=-8, publishers=20, quoting=3, valid=900, head=(0xA1B2C3D4, 2, 3)):
    data = bytearray(240)
    struct.pack_into("<IIIIIiIIQQ", data, 0, *head, 240, 1, exponent, publishers, quoting, 899, valid)
    struct.pack_into("<q", data, 96, 1_700_000_000)
    struct.pack_into("<qQ", data, 208, price, conf)
    return bytes(data)


def test_push_accounts():
    told = read_oracle(VELOCITY, Source.PYTH, VELOCITY.pyth, pushed(), SLOT)
    assert (told.price, told.confidence, told.slot, told.at) == (150_123_456, 70_000, 900, 1_700_000_000 * 10**9)
    assert read_oracle(VELOCITY_DEVNET, Source.PYTH, VELOCITY_DEVNET.pyth, pushed(), SLOT).price == 150_123_456
    assert read_oracle(VELOCITY, Source.PYTH, VELOCITY.pyth, pushed(publishers=2, quoting=2), SLOT).price == 150_123_456
    for data, owner, why in (
        (pushed(), VELOCITY_DEVNET.pyth, "its owner is"),
        (pushed()[:-1], VELOCITY.pyth, "240 bytes at least, and here are 239"),
        (pushed(head=(0xA1B2C3D4, 2, 2)), VELOCITY.pyth, "kind 2"),
        (pushed(head=(0xA1B2C3D4, 1, 3)), VELOCITY.pyth, "version 1"),
        (pushed(head=(0, 2, 3)), VELOCITY.pyth, "magic 0x0"),
        (pushed(quoting=2), VELOCITY.pyth, "2 of 20 publishers quote, and the program asks for 3"),
        (pushed(publishers=2, quoting=1), VELOCITY.pyth, "asks for 2"),
    ):
        with pytest.raises(WrongAccount, match=why):
            read_oracle(VELOCITY, Source.PYTH, owner, data, SLOT)


def pulled(price=240_864_500_000, conf=139_993_250, exponent=-8, posted=900, level=b"\1"):
    message = bytes(32) + struct.pack("<qQiqqqQQ", price, conf, exponent, 1_700_000_000, 1_699_999_999, price, conf, posted)
    return bytes.fromhex("22f123639d7ef4cd") + bytes(32) + level + message


def test_pull_accounts_of_drift():
    for level in (b"\1", b"\0\2"):
        told = read_oracle(DRIFT_V2, Source.PYTH_PULL, DRIFT_V2.receiver, pulled(level=level), SLOT)
        assert (told.price, told.confidence, told.slot, told.at) == (2_408_645_000, 1_399_932, 900, 1_700_000_000 * 10**9)
    for data, owner, why in (
        (pulled(), DRIFT_V2.program_id, "its owner is"),
        (pulled(level=b"\2"), DRIFT_V2.receiver, "its level of verification is 2"),
        (pulled()[:40], DRIFT_V2.receiver, "its level of verification is None"),
        (pulled()[:-1], DRIFT_V2.receiver, "bytes at least"),
        (b"\0" + pulled()[1:], DRIFT_V2.receiver, "begins with 22f123639d7ef4cd"),
    ):
        with pytest.raises(WrongAccount, match=why):
            read_oracle(DRIFT_V2, Source.PYTH_PULL, owner, data, SLOT)
