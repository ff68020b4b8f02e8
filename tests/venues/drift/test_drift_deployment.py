"""Deployments: what they are, and the addresses that they derive. Addresses: reference cases pda.json, velocity.json."""

from __future__ import annotations

import pytest

pytest.importorskip("solders")

import drift_bytes
from sleeves.money import USDC, USDT
from sleeves.venues.drift.deployment import (
    DEPLOYMENTS,
    DRIFT_V2,
    DRIFT_V2_LEGACY,
    VELOCITY,
    VELOCITY_CLOB,
    VELOCITY_DEVNET,
    Feature,
)
from sleeves.venues.drift.words import MarketStatus, OracleSource, name_bytes, name_text


def test_addresses_of_drift():
    # The first five are written in real accounts; the others were derived by two other libraries.
    assert DRIFT_V2.perp_market(24) == "8DdB5hHSZtPT3oqbsiHUytCrrodApNC31k3MuZhxJH61"
    assert DRIFT_V2.perp_market(0) == "8UJgxaiQx5nTrdDgph5FiahMmzduuLTLf5WmsPegYA6W"
    assert DRIFT_V2.spot_market(0) == "6gMq3mRCKf8aP3ttTyYhuijVZ2LGi14oDsBbkgubfLB3"
    assert DRIFT_V2.spot_vault(0) == "GXWqPpjQpdz7KZw9p7f5PX2eGxHAhvpNXiviFkAB8zXg"
    assert DRIFT_V2.spot_vault(1) == "DfYCNezifxAEsQbAJ1b3j6PX3JVBe8fu11KBhxsbw5d2"
    assert DRIFT_V2.signer() == "JCNCMFXo5M5qwUPg2Utu1u6YWp3MbygxqBsBeXXJfrw"
    assert DRIFT_V2.user(drift_bytes.AUTHORITY, 0) == "4Qz5oxdYiXH8AecRxUGj29fTLFdWufstnbfZgGr3yzjm"
    assert DRIFT_V2.user(drift_bytes.AUTHORITY, 3) == "FATGg1HuSTZTjQ2BF7ys2UjrMvhFJ8WxPEA7CcFLBtbh"
    assert DRIFT_V2.user_stats(drift_bytes.AUTHORITY) == "4SMyCS7qkiM1Tt5SESgLBgqj1AvdkmoCx5eaFaZ59cL5"


def test_addresses_of_velocity():
    # Seen on chain by others, mainnet and devnet.
    assert VELOCITY.state() == "2etx5NvPNxeMZ7EfHE6GjJfW2imRYEUANehNS1WB4CVW"
    assert VELOCITY.signer() == "FchXiT9JgMDis6CFLjz9uG5mQYkmDtHqiWtBPEYUabaK"
    assert VELOCITY.perp_market(0) == "FDejXbUrSy6zayBCL5xuk2SXLHZgr8ppfFTLcHbyJorY"
    assert VELOCITY.spot_market(0) == "2QpHj5vzgCdWaGM2KSoGtYJWeSkx24cMyzUDHDrucvRc"
    assert VELOCITY.spot_vault(1) == "BJyCJijt3zmJikjSvhorZtxaoQDWrWmTHfUvhxa5aA4i"
    assert VELOCITY.user("DxoRJ4f5XRMvXU9SGuM4ZziBFUxbhB3ubur5sVZEvue2", 0) == "DXN7aHSRosnuyv4eTctBwUJ8tJQ97eGeTEox9iVpnSoe"
    assert VELOCITY_DEVNET.user("JndTyQdwU2hAwZdbNipCMxbed7kBGGZUP3UZ5YzEdSQ", 0) == "33r8qSTvZ5AhosL372M7LCBGHuDwZEb7B3qfdMbRLBpV"


def test_what_tells_them_apart():
    assert list(DEPLOYMENTS) == [one.name for one in DEPLOYMENTS.values()]
    assert DRIFT_V2.program_id == DRIFT_V2_LEGACY.program_id != VELOCITY.program_id
    assert (DRIFT_V2.quote.asset, VELOCITY.quote.asset, VELOCITY_DEVNET.quote.asset.code) == (USDC, USDT, "dUSDT")
    assert VELOCITY.quote.mint != VELOCITY_DEVNET.quote.mint
    assert VELOCITY.program_id == VELOCITY_DEVNET.program_id == VELOCITY_CLOB.program_id
    assert VELOCITY.pyth != VELOCITY_DEVNET.pyth == "gSbePebfvPy7tRqimPoVecS2UsBvYv46ynrzWocc92s"
    assert set(VELOCITY_CLOB.layouts) == {"PythLazerOracle", "User"}
    with pytest.raises(KeyError):
        VELOCITY_CLOB.codec("PerpMarket")
    assert DRIFT_V2.has(Feature.HIGH_LEVERAGE)
    assert not VELOCITY.has(Feature.HIGH_LEVERAGE)
    assert VELOCITY.has(Feature.EQUITY_FLOOR)
    assert not DRIFT_V2.has(Feature.EQUITY_FLOOR)
    assert VELOCITY.codec("User") is VELOCITY.codec("User")
    assert hash(VELOCITY) != hash(DRIFT_V2)


def test_one_number_two_words():
    assert DRIFT_V2.market_statuses[2] is MarketStatus.FUNDING_PAUSED
    assert VELOCITY.market_statuses[2] is MarketStatus.REDUCE_ONLY
    assert DRIFT_V2.market_statuses[6] is MarketStatus.REDUCE_ONLY
    assert 6 not in VELOCITY.market_statuses
    assert DRIFT_V2.oracle_sources[7] is OracleSource.PYTH_PULL
    assert 7 not in VELOCITY.oracle_sources
    assert DRIFT_V2.oracle_sources[15] is VELOCITY.oracle_sources[15] is OracleSource.PYTH_LAZER_STABLE_COIN


@pytest.mark.parametrize("number", [-1, 65_536])
def test_numbers_outside_two_bytes_are_refused(number):
    for make in (VELOCITY.perp_market, VELOCITY.spot_market, VELOCITY.spot_vault, lambda sub: VELOCITY.user(drift_bytes.AUTHORITY, sub)):
        with pytest.raises(ValueError, match=f"is numbered from 0 to 65535, and {number} is not"):
            make(number)


def test_the_last_numbers_are_taken():
    assert len({VELOCITY.perp_market(0), VELOCITY.perp_market(65_535), VELOCITY.spot_market(65_535)}) == 3


def test_names_of_a_fixed_width():
    assert name_bytes("SOL") == b"SOL" + b" " * 29
    assert name_text(name_bytes("Pérp")) == "Pérp"
    assert name_bytes("x" * 32) == b"x" * 32
    with pytest.raises(ValueError, match="at most 32 bytes of UTF-8"):
        name_bytes("x" * 33)
    with pytest.raises(ValueError, match="at most 32 bytes"):
        name_bytes("é" * 17)
    with pytest.raises(UnicodeDecodeError):
        name_text(b"\xff" * 32)
