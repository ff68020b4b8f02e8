"""Instructions: their bytes, their accounts, and what is not asked at all.

Figures: `reference/drift.md` section 4.1 (discriminators and account lists measured with driftpy), and data that a third party captured
from Velocity's TypeScript SDK 0.26 (`cases/drift/velocity.json`, CryptoZephyr/nelta). The addresses of accounts are those of `pda.json`.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY, VELOCITY_CLOB, VELOCITY_DEVNET
from sleeves.venues.drift.instructions import Instructions, Markets, OrderKind, OrderParams, PostOnly, Trigger

BOTH = pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY, VELOCITY_DEVNET], ids=lambda one: one.name)
RENT = "SysvarRent111111111111111111111111111111111"
SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"


def someone(number: int) -> str:
    return str(Pubkey.from_bytes(bytes([number]) * 32))


OWNER, DELEGATE, COINS, PAYER = someone(1), someone(2), someone(3), someone(4)
USDC_ORACLE, SOL_ORACLE, BTC_ORACLE, OTHER_ORACLE = someone(11), someone(12), someone(13), someone(14)


def spot(index, oracle, *, token_2022=False, hook=False):
    return SimpleNamespace(index=index, oracle=oracle, mint=someone(100 + index), token_2022=token_2022, transfer_hook=hook)


def perp(index, oracle, quote=0):
    return SimpleNamespace(index=index, oracle=oracle, quote_market=quote)


MARKETS = Markets(
    {
        0: spot(0, USDC_ORACLE),
        1: spot(1, SOL_ORACLE),
        5: spot(5, OTHER_ORACLE, token_2022=True),
        6: spot(6, OTHER_ORACLE, token_2022=True, hook=True),
        7: spot(7, SYSTEM),
    },
    {0: perp(0, SOL_ORACLE), 1: perp(1, BTC_ORACLE), 9: perp(9, OTHER_ORACLE, quote=5)},
)


def user(spots=(), perps=(), bids=0):
    return SimpleNamespace(
        spots=tuple(SimpleNamespace(market=one, open_bids=bids, open_asks=0) for one in spots),
        perps=tuple(SimpleNamespace(market=one) for one in perps),
    )


def accounts(ix: Instruction) -> list[str]:
    """Address, with `w` where writable and `s` where signing."""
    return [f"{one.pubkey}{'w' * one.is_writable}{'s' * one.is_signer}" for one in ix.accounts]


EMPTY = user()


class TestBytes:
    @pytest.mark.parametrize(
        ("build", "data"),
        [
            (lambda ask: ask.deposit(OWNER, 0, 1, 1000, COINS, markets=MARKETS, user=EMPTY), "f223c68952e1f2b60100e80300000000000000"),
            (
                lambda ask: ask.withdraw(OWNER, 0, 1, 40_000_000, COINS, markets=MARKETS, user=EMPTY),
                "b712469c946da1220100005a62020000000001",
            ),
        ],
    )
    @BOTH
    def test_the_data_of_deposits_and_withdrawals_is_what_the_sdk_was_seen_to_send(self, deployment, build, data):
        ix = build(Instructions(deployment))
        assert bytes(ix.data).hex() == data
        assert str(ix.program_id) == deployment.program_id

    def test_velocitys_order_is_what_the_sdk_was_seen_to_send(self):
        # place_and_take_perp_order: eight bytes of its name, the parameters, and an option of its own at the end
        captured = "d53301bb6cdce6e000010000002d310100000000000000000000000000000100000000000000000000000102640000"
        params = OrderParams(market=0, long=True, base=20_000_000, kind=OrderKind.MARKET, reduce_only=True)
        assert captured[16:-10] == Instructions(VELOCITY).order_bytes(params).hex()

    @BOTH
    def test_a_plain_order_is_40_bytes_on_drift_and_42_on_velocity(self, deployment):
        ix = Instructions(deployment).place_perp_order(OWNER, 0, OrderParams(market=0, long=True, base=1), markets=MARKETS, user=EMPTY)
        assert len(ix.data) == (40 if deployment is DRIFT_V2 else 42)
        assert bytes(ix.data)[:8].hex() == "45a15dca787e4cb9"

    def test_every_field_of_an_order_has_its_place(self):
        params = OrderParams(
            market=0x0102,
            long=False,
            base=0x0A0B0C,
            kind=OrderKind.TRIGGER_LIMIT,
            price=0x0D0E,
            user_id=200,
            reduce_only=True,
            post_only=PostOnly.SLIDE,
            immediate=True,
            flags=2,
            expires=-1,
            trigger_price=3,
            trigger=Trigger.BELOW,
            oracle_offset=-4,
            auction_duration=5,
            auction_start=-6,
            auction_end=7,
        )
        begin = "03 01 01 c8 0c0b0a0000000000 0e0d000000000000 0201 01 03 03 01ffffffffffffffff 010300000000000000 01 "
        end = "0105 01faffffffffffffff 010700000000000000"
        drift, velocity = Instructions(DRIFT_V2), Instructions(VELOCITY)
        assert drift.order_bytes(params) == bytes.fromhex(f"{begin} 01fcffffff {end}")
        assert velocity.order_bytes(params) == bytes.fromhex(f"{begin} 01fcffffffffffffff {end} 0000")

    def test_a_builder_is_two_options_more_on_velocity_and_is_never_placed(self):
        params = OrderParams(market=0, long=True, base=1, builder=3, builder_fee=0x0100)
        assert Instructions(VELOCITY).order_bytes(params)[-5:] == bytes.fromhex("01030100 01")
        with pytest.raises(InvalidMarket, match="builder"):
            Instructions(VELOCITY).place_perp_order(OWNER, 0, params, markets=MARKETS, user=EMPTY)
        with pytest.raises(InvalidMarket, match="drift takes no builder"):
            Instructions(DRIFT_V2).order_bytes(params)

    @pytest.mark.parametrize(
        ("build", "data"),
        [
            (lambda ask: ask.initialize_user_stats(OWNER), "fef34862fb82a8d5"),
            (lambda ask: ask.initialize_user(OWNER, 258, "ab"), "6f11b9fa3c7a26fe" + "0201" + "6162" + "20" * 30),
            (
                lambda ask: ask.transfer_deposit(OWNER, 0, 1, 0, 5, markets=MARKETS, source_user=EMPTY, target_user=None),
                "141493df293fcc6f" + "0000" + "0500000000000000",
            ),
            (
                lambda ask: ask.place_orders(OWNER, 0, [OrderParams(market=0, long=True, base=1)] * 2, markets=MARKETS, user=EMPTY),
                "3c3f327b0cc53cbe02000000",
            ),
            (lambda ask: ask.cancel_order(OWNER, 0, 258, markets=MARKETS, user=EMPTY), "5f81edf00831df84" + "0102010000"),
            (lambda ask: ask.cancel_order(OWNER, 0, None, markets=MARKETS, user=EMPTY), "5f81edf00831df84" + "00"),
            (lambda ask: ask.cancel_order_by_user_id(OWNER, 0, 255, markets=MARKETS, user=EMPTY), "6bd3fa8512253964" + "ff"),
            (lambda ask: ask.cancel_orders(OWNER, 0, markets=MARKETS, user=EMPTY), "eee15f9ee36708c2" + "000000"),
            (
                lambda ask: ask.cancel_orders(OWNER, 0, markets=MARKETS, user=EMPTY, perp=True, market=258, long=False),
                "eee15f9ee36708c2" + "0101" + "010201" + "0101",
            ),
            (lambda ask: ask.settle_pnl(OWNER, 0, 1, markets=MARKETS, user=EMPTY), "2b3dea2d0f5f9899" + "0100"),
            (lambda ask: ask.update_user_delegate(OWNER, 3, DELEGATE), "8bcd8d8d71245ebb" + "0300" + "02" * 32),
            (lambda ask: ask.update_user_delegate(OWNER, 3, None), "8bcd8d8d71245ebb" + "0300" + "00" * 32),
            (lambda ask: ask.update_spot_market_cumulative_interest(1, markets=MARKETS), "27a68bf39ea59be1"),
            (lambda ask: ask.delete_user(OWNER, 1), "ba5511f9dbe762fb"),
        ],
    )
    @BOTH
    def test_the_data_of_the_rest(self, deployment, build, data):
        raw = bytes(build(Instructions(deployment)).data)
        assert raw.hex().startswith(data)
        if not data.startswith("3c3f"):
            assert raw.hex() == data

    def test_velocity_refreshes_many_markets_at_once_and_drift_does_not(self):
        ix = Instructions(VELOCITY).refresh_spot_market_interest([1, 0, 1])
        assert bytes(ix.data).hex() == "0bbc328d4933864e" + "02000000" + "0000" + "0100"
        assert accounts(ix) == [VELOCITY.state(), f"{VELOCITY.spot_market(0)}w", f"{VELOCITY.spot_market(1)}w"]
        assert len(Instructions(VELOCITY).refresh_spot_market_interest(range(16)).accounts) == 17
        for wrong in ([], range(17)):
            with pytest.raises(InvalidMarket, match="1 to 16"):
                Instructions(VELOCITY).refresh_spot_market_interest(wrong)
        with pytest.raises(InvalidMarket, match="one spot market at a time"):
            Instructions(DRIFT_V2).refresh_spot_market_interest([0])

    @given(amount=st.integers(1, 2**64 - 1), market=st.sampled_from([0, 1, 5]))
    def test_a_withdrawal_is_always_reduce_only(self, amount, market):
        ix = Instructions(VELOCITY).withdraw(OWNER, 0, market, amount, COINS, markets=MARKETS, user=EMPTY)
        assert bytes(ix.data)[8:] == market.to_bytes(2, "little") + amount.to_bytes(8, "little") + b"\1"


class TestAccounts:
    """Lists as in the programs' own (Drift 2.142 and Velocity's IDL 2.165)."""

    @BOTH
    def test_deposit(self, deployment):
        ix = Instructions(deployment).deposit(OWNER, 3, 1, 7, COINS, markets=MARKETS, user=user([0], [1]))
        d = deployment
        assert accounts(ix) == [
            d.state(),
            f"{d.user(OWNER, 3)}w",
            f"{d.user_stats(OWNER)}w",
            f"{OWNER}s",
            f"{d.spot_vault(1)}w",
            f"{COINS}w",
            TOKEN,
            USDC_ORACLE,
            SOL_ORACLE,
            BTC_ORACLE,
            d.spot_market(0),
            f"{d.spot_market(1)}w",
            d.perp_market(1),
        ]

    @BOTH
    def test_withdraw(self, deployment):
        d = deployment
        ix = Instructions(d).withdraw(OWNER, 3, 0, 7, COINS, markets=MARKETS, user=user([0]))
        assert accounts(ix) == [
            d.state(),
            f"{d.user(OWNER, 3)}w",
            f"{d.user_stats(OWNER)}w",
            f"{OWNER}s",
            f"{d.spot_vault(0)}w",
            d.signer(),
            f"{COINS}w",
            TOKEN,
            USDC_ORACLE,
            f"{d.spot_market(0)}w",
        ]

    @BOTH
    def test_transfer_deposit(self, deployment):
        d = deployment
        ix = Instructions(d).transfer_deposit(OWNER, 0, 2, 0, 7, markets=MARKETS, source_user=user([0], [0]), target_user=user([1]))
        assert accounts(ix) == [
            f"{d.user(OWNER, 0)}w",
            f"{d.user(OWNER, 2)}w",
            f"{d.user_stats(OWNER)}w",
            f"{OWNER}s",
            d.state(),
            d.spot_vault(0),
            USDC_ORACLE,
            SOL_ORACLE,
            f"{d.spot_market(0)}w",
            d.spot_market(1),
            d.perp_market(0),
        ]

    @BOTH
    def test_orders_are_signed_by_the_owner_or_the_delegate(self, deployment):
        d, ask = deployment, Instructions(deployment)
        head = [d.state(), f"{d.user(OWNER, 1)}w"]
        tail = [USDC_ORACLE, BTC_ORACLE, d.spot_market(0), d.perp_market(1)]
        params = OrderParams(market=1, long=True, base=1)
        for signer, expected in ((None, OWNER), (DELEGATE, DELEGATE)):
            ix = ask.place_perp_order(OWNER, 1, params, markets=MARKETS, user=EMPTY, signer=signer)
            assert accounts(ix) == [*head, f"{expected}s", *tail]
            ix = ask.place_orders(OWNER, 1, [params, params], markets=MARKETS, user=EMPTY, signer=signer)
            assert accounts(ix) == [*head, f"{expected}s", *tail]
            ix = ask.cancel_order(OWNER, 1, 4, markets=MARKETS, user=user([], [1]), signer=signer)
            assert accounts(ix) == [*head, f"{expected}s", *tail]
            ix = ask.cancel_orders(OWNER, 1, markets=MARKETS, user=user([], [1]), signer=signer)
            assert accounts(ix) == [*head, f"{expected}s", *tail]

    @BOTH
    def test_settling_changes_the_quote_and_the_market(self, deployment):
        d = deployment
        ix = Instructions(d).settle_pnl(OWNER, 1, 0, markets=MARKETS, user=user([0, 1], [0, 1]), signer=DELEGATE)
        assert accounts(ix) == [
            d.state(),
            f"{d.user(OWNER, 1)}w",
            f"{DELEGATE}s",
            d.spot_vault(0),
            USDC_ORACLE,
            SOL_ORACLE,
            BTC_ORACLE,
            f"{d.spot_market(0)}w",
            d.spot_market(1),
            f"{d.perp_market(0)}w",
            d.perp_market(1),
        ]

    @BOTH
    def test_creating_and_closing(self, deployment):
        d, ask = deployment, Instructions(deployment)
        sign = "s" if d is DRIFT_V2 else ""
        tail = [f"{d.state()}w", f"{OWNER}{sign}", f"{PAYER}ws", RENT, SYSTEM]
        assert accounts(ask.initialize_user_stats(OWNER, payer=PAYER)) == [f"{d.user_stats(OWNER)}w", *tail]
        assert accounts(ask.initialize_user(OWNER, 1, "x", payer=PAYER)) == [f"{d.user(OWNER, 1)}w", f"{d.user_stats(OWNER)}w", *tail]
        closing = [f"{d.user(OWNER, 1)}w", f"{d.user_stats(OWNER)}w", f"{d.state()}w", f"{OWNER}ws"]
        escrow = Pubkey.find_program_address([b"REV_ESCROW", bytes(Pubkey.from_string(OWNER))], Pubkey.from_string(d.program_id))[0]
        assert accounts(ask.delete_user(OWNER, 1)) == [*closing, *([] if d is DRIFT_V2 else [f"{escrow}w"])]

    @BOTH
    def test_the_rest(self, deployment):
        d, ask = deployment, Instructions(deployment)
        assert accounts(ask.update_user_delegate(OWNER, 1, DELEGATE)) == [f"{d.user(OWNER, 1)}w", f"{OWNER}s"]
        interest = ask.update_spot_market_cumulative_interest(1, markets=MARKETS)
        assert accounts(interest) == [d.state(), f"{d.spot_market(1)}w", SOL_ORACLE, d.spot_vault(1)]

    @BOTH
    def test_a_token_2022_coin_needs_its_program_and_its_mint_behind_the_markets(self, deployment):
        ask = Instructions(deployment)
        for ix in (
            ask.deposit(OWNER, 0, 5, 7, COINS, markets=MARKETS, user=None),
            ask.withdraw(OWNER, 0, 5, 7, COINS, markets=MARKETS, user=EMPTY),
        ):
            told = accounts(ix)
            assert TOKEN not in told
            assert TOKEN_2022 in told
            assert told[-3:] == [OTHER_ORACLE, f"{deployment.spot_market(5)}w", MARKETS.spots[5].mint]
        with pytest.raises(InvalidMarket, match="hook"):
            ask.deposit(OWNER, 0, 6, 7, COINS, markets=MARKETS, user=None)


class TestRemaining:
    ask = Instructions(DRIFT_V2)

    def told(self, *args, **kwargs):
        return [f"{one.pubkey}{'w' * one.is_writable}" for one in self.ask.remaining(MARKETS, *args, **kwargs)]

    def test_an_account_without_positions_touches_nothing(self):
        assert self.told([EMPTY]) == []

    def test_each_market_and_each_oracle_stands_once_in_its_group(self):
        told = self.told([user([1, 0], [0]), user([1], [0, 1])], perps=[1, 0], spots=[1])
        d = DRIFT_V2
        assert told == [USDC_ORACLE, SOL_ORACLE, BTC_ORACLE, d.spot_market(0), d.spot_market(1), d.perp_market(0), d.perp_market(1)]

    def test_what_is_written_stays_writable_however_often_it_is_read_too(self):
        d = DRIFT_V2
        told = self.told([user([0], [0])], spots=[0], write_spots=[0], perps=[0], write_perps=[0])
        assert told == [USDC_ORACLE, SOL_ORACLE, f"{d.spot_market(0)}w", f"{d.perp_market(0)}w"]

    def test_a_perp_market_brings_the_spot_market_of_its_quote(self):
        assert self.told(perps=[9]) == [OTHER_ORACLE, DRIFT_V2.spot_market(5), DRIFT_V2.perp_market(9)]

    def test_an_open_spot_order_brings_the_quote(self):
        assert DRIFT_V2.spot_market(0) in self.told([user([1], bids=5)])
        assert DRIFT_V2.spot_market(0) not in self.told([user([1])])

    def test_a_coin_without_an_oracle_brings_none(self):
        assert self.told(spots=[7]) == [DRIFT_V2.spot_market(7)]

    @pytest.mark.parametrize("wrong", [{"spots": [2]}, {"perps": [2]}, {"write_spots": [2]}, {"write_perps": [2]}])
    def test_a_market_that_is_not_known_is_not_left_out(self, wrong):
        with pytest.raises(InvalidMarket, match="market 2 of drift"):
            self.told(**wrong)
        with pytest.raises(InvalidMarket, match="market 2 of drift"):
            self.told([user([2])])

    @given(
        spots=st.lists(st.sampled_from([0, 1, 5, 7])),
        perps=st.lists(st.sampled_from([0, 1, 9])),
        write_spots=st.lists(st.sampled_from([0, 1])),
        write_perps=st.lists(st.sampled_from([0, 1])),
    )
    def test_groups_come_in_order_without_doubles_and_inputs_stay_as_they_are(self, spots, perps, write_spots, write_perps):
        given_ = [list(one) for one in (spots, perps, write_spots, write_perps)]
        person = user(spots, perps)
        metas = self.ask.remaining(MARKETS, [person], spots=spots, perps=perps, write_spots=write_spots, write_perps=write_perps)
        assert [spots, perps, write_spots, write_perps] == given_
        assert person == user(spots, perps)
        kinds = {str(DRIFT_V2.spot_market(i)): 1 for i in range(8)} | {str(DRIFT_V2.perp_market(i)): 2 for i in range(10)}
        told = [kinds.get(str(one.pubkey), 0) for one in metas]
        assert told == sorted(told)
        assert len({str(one.pubkey) for one in metas}) == len(metas)
        assert {str(one.pubkey) for one in metas if one.is_writable} == {DRIFT_V2.spot_market(i) for i in write_spots} | {
            DRIFT_V2.perp_market(i) for i in write_perps
        }
        assert not any(one.is_signer for one in metas)


class TestRefused:
    def test_a_version_whose_instructions_are_not_known(self):
        with pytest.raises(InvalidMarket, match="order-book branch"):
            Instructions(VELOCITY_CLOB)

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda ask: ask.deposit(OWNER, 0, 0, 0, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.deposit(OWNER, 0, 0, -1, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.deposit(OWNER, 0, 0, 2**64, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.deposit(OWNER, 0, 0, 1.0, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.deposit(OWNER, 0, 3, 1, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.deposit("nobody", 0, 0, 1, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.deposit(OWNER, 65536, 0, 1, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.withdraw(OWNER, 0, 0, 0, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.withdraw(OWNER, -1, 0, 1, COINS, markets=MARKETS, user=EMPTY),
            lambda ask: ask.withdraw(OWNER, 0, 0, 1, "0" * 44, markets=MARKETS, user=EMPTY),
            lambda ask: ask.transfer_deposit(OWNER, 1, 1, 0, 1, markets=MARKETS, source_user=EMPTY, target_user=EMPTY),
            lambda ask: ask.transfer_deposit(OWNER, 0, 1, 0, 0, markets=MARKETS, source_user=EMPTY, target_user=EMPTY),
            lambda ask: ask.place_perp_order(OWNER, 0, OrderParams(market=0, long=True, base=1, perp=False), markets=MARKETS, user=EMPTY),
            lambda ask: ask.place_perp_order(OWNER, 0, OrderParams(market=0, long=True, base=-1), markets=MARKETS, user=EMPTY),
            lambda ask: ask.place_perp_order(OWNER, 0, OrderParams(market=0, long=True, base=1, user_id=256), markets=MARKETS, user=EMPTY),
            lambda ask: ask.place_perp_order(OWNER, 0, OrderParams(market=0, long=True, base=1, flags=1), markets=MARKETS, user=EMPTY),
            lambda ask: ask.place_perp_order(OWNER, 0, OrderParams(market=0, long=True, base=1, flags=2), markets=MARKETS, user=EMPTY),
            lambda ask: ask.place_perp_order(OWNER, 0, OrderParams(market=2, long=True, base=1), markets=MARKETS, user=EMPTY),
            lambda ask: ask.place_orders(OWNER, 0, [], markets=MARKETS, user=EMPTY),
            lambda ask: ask.cancel_order(OWNER, 0, 2**32, markets=MARKETS, user=EMPTY),
            lambda ask: ask.cancel_order(OWNER, 0, -1, markets=MARKETS, user=EMPTY),
            lambda ask: ask.cancel_order_by_user_id(OWNER, 0, 0, markets=MARKETS, user=EMPTY),
            lambda ask: ask.cancel_order_by_user_id(OWNER, 0, 256, markets=MARKETS, user=EMPTY),
            lambda ask: ask.cancel_orders(OWNER, 0, markets=MARKETS, user=EMPTY, perp=True),
            lambda ask: ask.cancel_orders(OWNER, 0, markets=MARKETS, user=EMPTY, market=1),
            lambda ask: ask.initialize_user(OWNER, 0, "x" * 33),
            lambda ask: ask.update_user_delegate(OWNER, 0, "nobody"),
        ],
    )
    @BOTH
    def test_what_cannot_be_meant_is_not_built(self, deployment, wrong):
        with pytest.raises(InvalidMarket):
            wrong(Instructions(deployment))

    def test_a_spot_order_is_for_a_deployment_that_has_them(self):
        params = [OrderParams(market=1, long=True, base=1, perp=False)]
        ix = Instructions(DRIFT_V2).place_orders(OWNER, 0, params, markets=MARKETS, user=EMPTY)
        assert accounts(ix)[3:] == [USDC_ORACLE, SOL_ORACLE, DRIFT_V2.spot_market(0), DRIFT_V2.spot_market(1)]
        with pytest.raises(InvalidMarket, match="no spot orders"):
            Instructions(VELOCITY).place_orders(OWNER, 0, params, markets=MARKETS, user=EMPTY)

    @given(offset=st.sampled_from([2**31, -(2**31) - 1]))
    def test_a_distance_from_the_oracle_that_drift_cannot_hold_velocity_can(self, offset):
        params = OrderParams(market=0, long=True, base=1, oracle_offset=offset)
        assert Instructions(VELOCITY).order_bytes(params)
        with pytest.raises(InvalidMarket, match="oracle_price_offset"):
            Instructions(DRIFT_V2).order_bytes(params)
