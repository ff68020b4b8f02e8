"""Events: read from logs, and only from what the program itself said there.

Discriminators are those of Velocity's IDL 2.165 (Anchor's sha256 of "event:Name"); lengths are counted from the field lists of both
programs' `state/events.rs`. That OrderRecord and OrderActionRecord are messages and the rest data lines is from the same file
(`emit_stack` writes with `msg!`, `emit!` with the data call).
"""

from __future__ import annotations

from base64 import b64encode

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY, VELOCITY_CLOB
from sleeves.venues.drift.events import (
    Action,
    BadEvent,
    Deposited,
    DepositReason,
    FundingPayment,
    FundingRate,
    Liquidation,
    LiquidationKind,
    OrderAction,
    OrderPlaced,
    Other,
    PlacedOrder,
    PnlSettled,
    SpotInterest,
    Swapped,
    TruncatedLog,
    UnknownEvent,
    UserCreated,
    UserDeleted,
    Why,
    encode_event,
    events_of,
    log_line,
    read_event,
    read_log,
)
from sleeves.venues.drift.words import OrderKind, OrderStatus, Trigger

BOTH = pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY], ids=lambda one: one.name)
ELSEWHERE = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"


def someone(number: int) -> str:
    return str(Pubkey.from_bytes(bytes([number]) * 32))


ME, MINE, HIS = someone(1), someone(2), someone(3)

ORDER = PlacedOrder(
    slot=1,
    price=2,
    base=3,
    filled=4,
    quote_filled=5,
    trigger_price=6,
    auction_start=-7,
    auction_end=8,
    expires=9,
    oracle_offset=-10,
    id=11,
    market=12,
    status=OrderStatus.OPEN,
    kind=OrderKind.LIMIT,
    perp=True,
    user_id=13,
    held_long=False,
    long=True,
    reduce_only=True,
    post_only=False,
    immediate=True,
    trigger=Trigger.TRIGGERED_BELOW,
    auction_duration=14,
    posted_slot_tail=15,
    flags=16,
)
DEPOSITED = Deposited(
    at=1,
    authority=ME,
    user=MINE,
    withdrawn=True,
    id=2,
    amount=3,
    market=4,
    oracle_price=5,
    market_deposits=6,
    market_borrows=7,
    deposit_index=8,
    borrow_index=9,
    total_deposits=10,
    total_withdraws=11,
    reason=DepositReason.TRANSFER,
    other=HIS,
    signer=ME,
    after=-12,
)
FILL = OrderAction(
    at=1,
    action=Action.FILL,
    why=Why.ORDER_FILLED_WITH_MATCH,
    market=2,
    perp=True,
    filler=HIS,
    filler_reward=3,
    fill_id=4,
    base=5,
    quote=6,
    taker_fee=7,
    maker_fee=-8,
    taker=MINE,
    taker_order=9,
    taker_long=True,
    taker_base=10,
    taker_filled=11,
    taker_quote_filled=12,
    maker=HIS,
    maker_order=13,
    maker_long=False,
    maker_base=14,
    maker_filled=15,
    maker_quote_filled=16,
    oracle_price=17,
)
PLACED = OrderAction(
    at=1,
    action=Action.PLACE,
    why=Why.NONE,
    market=2,
    perp=True,
    taker=MINE,
    taker_order=9,
    taker_long=False,
    taker_base=10,
    taker_filled=0,
    taker_quote_filled=0,
    oracle_price=17,
)
LIQUIDATED = Liquidation(
    at=1,
    kind=LiquidationKind.PERP,
    user=MINE,
    liquidator=HIS,
    requirement=2,
    collateral=-3,
    freed=4,
    id=5,
    bankrupt=False,
    cancelled=(6, 7),
    parts={"liquidate_perp": {"market_index": 8, "base_asset_amount": -9, "quote_asset_amount": 10, "liquidator_fee": 11}},
)
SETTLED = PnlSettled(at=1, user=MINE, market=2, pnl=-3, base=4, quote_after=-5, entry=6, price=7)
RATE = FundingRate(
    at=1,
    id=2,
    market=3,
    rate=-4,
    rate_long=5,
    rate_short=6,
    cumulative_long=-7,
    cumulative_short=8,
    oracle_twap=9,
    mark_twap=10,
    revenue=11,
    base_with_amm=-12,
    base_with_lp=13,
)
PLAIN = [
    (UserCreated(at=1, authority=ME, user=MINE, sub=2, name="main", referrer=HIS), 8 + 32 + 32 + 2 + 32 + 32),
    (UserDeleted(at=1, authority=ME, user=MINE, sub=2), 8 + 32 + 32 + 2 + 1),
    (UserDeleted(at=1, authority=ME, user=MINE, sub=2, keeper=HIS), 8 + 32 + 32 + 2 + 33),
    (DEPOSITED, 8 + 32 + 32 + 1 + 8 + 8 + 2 + 8 + 4 * 16 + 8 + 8 + 1 + 33 + 33 + 16),
    (
        SpotInterest(
            at=1, market=2, deposits=3, deposit_index=4, borrows=5, borrow_index=6, optimal_utilization=7, optimal_rate=8, max_rate=9
        ),
        8 + 2 + 4 * 16 + 3 * 4,
    ),
    (
        FundingPayment(at=1, authority=ME, user=MINE, market=2, payment=-3, base=-4, last_funding=5, funding_long=6, funding_short=-7),
        8 + 32 + 32 + 2 + 8 + 8 + 8 + 16 + 16,
    ),
    (SETTLED, 8 + 32 + 2 + 16 + 8 + 8 + 8 + 8 + 1),
    (
        Swapped(at=1, user=MINE, amount_out=2, amount_in=3, out_market=4, in_market=5, out_price=6, in_price=7, fee=8),
        8 + 32 + 8 + 8 + 2 + 2 + 24,
    ),
]  # fmt: skip


def rate_of(deployment):
    return RATE if deployment is DRIFT_V2 else evolve(RATE, revenue=None, base_with_lp=None)


def samples(deployment):
    """Events of every kind that is read, as this deployment's program would write them."""
    return [
        *(one for one, _ in PLAIN),
        OrderPlaced(at=1, user=MINE, order=ORDER),
        FILL,
        PLACED,
        LIQUIDATED,
        rate_of(deployment),
        Other("LPSettleRecord", b"any"),
    ]


def said(program: str, *lines: str, depth: int = 1) -> list[str]:
    return [
        f"Program {program} invoke [{depth}]",
        *lines,
        f"Program {program} consumed 5000 of 200000 compute units",
        f"Program {program} success",
    ]


def without_parts(event):
    """A liquidation's parts are read with all their zeros; what was written of them must be there."""
    return evolve(event, parts={}) if isinstance(event, Liquidation) else event


class TestBytes:
    @BOTH
    @pytest.mark.parametrize(("event", "length"), PLAIN)
    def test_the_length_is_that_of_the_fields_and_everything_is_read_again(self, deployment, event, length):
        raw = encode_event(deployment, event)
        assert len(raw) == 8 + length
        assert read_event(deployment, raw) == event

    @pytest.mark.parametrize(
        ("name", "event", "mark"),
        [
            ("DeleteUserRecord", PLAIN[1][0], [71, 111, 190, 118, 7, 3, 132, 222]),
            ("DepositRecord", DEPOSITED, [180, 241, 218, 207, 102, 135, 44, 134]),
            ("FundingPaymentRecord", PLAIN[5][0], [8, 59, 96, 20, 137, 201, 56, 95]),
            ("FundingRateRecord", evolve(RATE, revenue=None, base_with_lp=None), [68, 3, 255, 26, 133, 91, 147, 254]),
            ("LPSettleRecord", Other("LPSettleRecord", b""), [208, 191, 131, 110, 173, 48, 7, 2]),
            ("LiquidationRecord", LIQUIDATED, [127, 17, 0, 108, 182, 13, 231, 53]),
            ("NewUserRecord", PLAIN[0][0], [236, 186, 113, 219, 42, 51, 149, 249]),
            ("OrderActionRecord", FILL, [224, 52, 67, 71, 194, 237, 109, 1]),
            ("OrderRecord", OrderPlaced(at=1, user=MINE, order=ORDER), [104, 19, 64, 56, 89, 21, 2, 90]),
            ("SettlePnlRecord", SETTLED, [57, 68, 105, 26, 119, 198, 213, 89]),
            ("SpotInterestRecord", PLAIN[4][0], [183, 186, 203, 186, 225, 187, 95, 130]),
            ("SwapRecord", PLAIN[7][0], [162, 187, 123, 194, 138, 56, 250, 241]),
            ("AmmCurveChanged", Other("AmmCurveChanged", b""), [116, 12, 114, 18, 175, 31, 153, 5]),
        ],
    )
    def test_discriminators_are_those_of_velocitys_idl(self, name, event, mark):
        assert list(encode_event(VELOCITY, event)[:8]) == mark, name

    def test_a_deposit_byte_for_byte(self):
        raw = encode_event(VELOCITY, DEPOSITED)[8:]
        eight = lambda number: number.to_bytes(8, "little", signed=True)  # noqa: E731
        sixteen = lambda number: number.to_bytes(16, "little", signed=True)  # noqa: E731
        assert raw == b"".join(
            [
                eight(1), bytes([1]) * 32, bytes([2]) * 32, b"\1", eight(2), eight(3), b"\4\0", eight(5),
                *(sixteen(number) for number in (6, 7, 8, 9)), eight(10), eight(11), b"\1", b"\1" + bytes([3]) * 32,
                b"\1" + bytes([1]) * 32, sixteen(-12),
            ]
        )  # fmt: skip

    def test_a_fill_byte_for_byte(self):
        raw = encode_event(DRIFT_V2, FILL)[8:]
        some = lambda number, size=8: b"\1" + number.to_bytes(size, "little", signed=True)  # noqa: E731
        who = lambda number: b"\1" + bytes([number]) * 32  # noqa: E731
        assert raw == b"".join(
            [
                (1).to_bytes(8, "little"), b"\2", b"\x08", b"\2\0", b"\1", who(3), *(some(number) for number in (3, 4, 5, 6, 7, -8)),
                b"\0\0\0", who(2), some(9, 4), b"\1\0", some(10), some(11), some(12), who(3), some(13, 4), b"\1\1", some(14), some(15),
                some(16), (17).to_bytes(8, "little"), b"\0", b"\0" * 4, b"\0", b"\0", b"\0",
            ]
        )  # fmt: skip

    @pytest.mark.parametrize(("deployment", "length", "offset"), [(DRIFT_V2, 96, 4), (VELOCITY, 104, 8)], ids=["drift", "velocity"])
    def test_an_order_is_as_long_as_in_the_account(self, deployment, length, offset):
        # 96 and 104 bytes are the slots of an order in a User (reference, section 2.2 and 5)
        event = OrderPlaced(at=1, user=MINE, order=ORDER)
        raw = encode_event(deployment, event)
        assert len(raw) == 8 + 8 + 32 + length
        assert raw[8 + 40 + 72 : 8 + 40 + 72 + offset] == (-10).to_bytes(offset, "little", signed=True)
        assert read_event(deployment, raw) == event
        touched = raw[:-1] + b"\7"
        again = read_event(deployment, touched)
        assert again.order.unused
        assert encode_event(deployment, again) == touched

    @BOTH
    def test_everything_else_is_read_again(self, deployment):
        for event in samples(deployment):
            raw = encode_event(deployment, event)
            read = read_event(deployment, raw)
            assert without_parts(read) == without_parts(event)
            assert encode_event(deployment, read) == raw

    def test_a_liquidation_tells_its_form(self):
        for deployment in (DRIFT_V2, VELOCITY):
            read = read_event(deployment, encode_event(deployment, LIQUIDATED))
            assert read.detail.items() >= LIQUIDATED.detail.items()
            assert ("protocol_fee" in read.detail) is (deployment is VELOCITY)
            assert ("lp_shares" in read.detail) is (deployment is DRIFT_V2)
            assert not read.isolated
            assert evolve(LIQUIDATED, flags=1).isolated
        with pytest.raises(InvalidMarket, match="no part perp"):
            encode_event(VELOCITY, evolve(LIQUIDATED, parts={"perp": {}}))

    def test_funding_rates_differ_by_two_fields(self):
        assert len(encode_event(DRIFT_V2, RATE)) == len(encode_event(VELOCITY, rate_of(VELOCITY))) + 8 + 16
        with pytest.raises(InvalidMarket, match="no revenue"):
            encode_event(VELOCITY, RATE)
        with pytest.raises(InvalidMarket, match="period_revenue"):
            encode_event(DRIFT_V2, rate_of(VELOCITY))

    def test_drifts_older_records_are_whole_and_velocity_has_none(self):
        older = evolve(DEPOSITED, signer=None, after=None)
        assert read_event(DRIFT_V2, encode_event(DRIFT_V2, older)) == older
        assert len(encode_event(DRIFT_V2, older)) == len(encode_event(DRIFT_V2, DEPOSITED)) - 33 - 16
        with pytest.raises(InvalidMarket):
            encode_event(VELOCITY, older)
        with pytest.raises(BadEvent):
            read_event(VELOCITY, encode_event(DRIFT_V2, older))
        with pytest.raises(InvalidMarket, match="who signed"):
            encode_event(DRIFT_V2, evolve(DEPOSITED, after=None))
        old_liquidation = evolve(LIQUIDATED, flags=None)
        assert read_event(DRIFT_V2, encode_event(DRIFT_V2, old_liquidation)).flags is None

    @BOTH
    def test_one_byte_more_or_less_is_refused(self, deployment):
        for event in samples(deployment):
            if isinstance(event, Other):
                continue
            raw = encode_event(deployment, event)
            # the last byte of Drift's liquidation is the flags, which its older program had not
            short = raw[:-2] if isinstance(event, Liquidation) and deployment is DRIFT_V2 else raw[:-1]
            for wrong in (raw + b"\0", short):
                with pytest.raises(BadEvent):
                    read_event(deployment, wrong)

    @BOTH
    @given(data=st.data())
    def test_flipped_bits_are_refused_or_read_as_what_they_say(self, deployment, data):
        event = data.draw(st.sampled_from(samples(deployment)))
        raw = bytearray(encode_event(deployment, event))
        at = data.draw(st.integers(8, len(raw) - 1))
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
        try:
            read = read_event(deployment, bytes(raw))
        except BadEvent:
            return
        again = encode_event(deployment, read)
        # a name's padding may be zeros or spaces: it is the one text that is read more than one way
        assert again == bytes(raw) or isinstance(event, UserCreated)
        if again != bytes(raw):
            assert read_event(deployment, again) == read

    @BOTH
    @pytest.mark.parametrize(("at", "said"), [(8, "action"), (9, "action_explanation"), (12, "market_type"), (13, "filler")])
    def test_a_number_that_no_word_has_is_refused(self, deployment, at, said):
        raw = bytearray(encode_event(deployment, PLACED))
        raw[8 + at] = 0xFF
        with pytest.raises(BadEvent, match=said):
            read_event(deployment, bytes(raw))

    def test_a_version_whose_events_are_not_known_is_not_guessed(self):
        with pytest.raises(InvalidMarket, match="order-book branch"):
            read_event(VELOCITY_CLOB, encode_event(VELOCITY, FILL))

    def test_what_is_not_known_is_kept(self):
        unknown = read_event(VELOCITY, b"12345678rest")
        assert unknown == UnknownEvent(b"12345678", b"rest")
        assert encode_event(VELOCITY, unknown) == b"12345678rest"
        with pytest.raises(BadEvent, match="7 bytes"):
            read_event(VELOCITY, b"1234567")
        with pytest.raises(InvalidMarket, match="CurveRecord"):
            encode_event(VELOCITY, Other("CurveRecord", b""))
        with pytest.raises(InvalidMarket, match="DepositRecord"):
            encode_event(VELOCITY, Other("DepositRecord", b""))

    def test_every_field_of_every_class_is_on_the_wire(self):
        for event in samples(DRIFT_V2):
            if isinstance(event, (Other, Liquidation)):
                continue
            raw = encode_event(DRIFT_V2, event)
            for one in fields(type(event)):
                value = getattr(event, one.name)
                if isinstance(value, bool):
                    other = not value
                elif isinstance(value, int) and type(value) is int:
                    other = value + 1
                else:
                    continue
                assert encode_event(DRIFT_V2, evolve(event, **{one.name: other})) != raw, f"{type(event).__name__}.{one.name}"


class TestLogs:
    @BOTH
    def test_events_come_in_the_order_of_the_log(self, deployment):
        lines = [log_line(deployment, event) for event in samples(deployment)]
        told = events_of(deployment, said(deployment.program_id, "Program log: Instruction: PlacePerpOrder", *lines))
        assert [without_parts(one) for one in told] == [without_parts(one) for one in samples(deployment)]

    def test_orders_are_messages_and_the_rest_are_data(self):
        forms = {type(event): log_line(VELOCITY, event).split(": ")[0] for event in samples(VELOCITY)}
        assert {made for made, form in forms.items() if form == "Program log"} == {OrderPlaced, OrderAction}
        assert log_line(VELOCITY, Other("LPSwapRecord", b"")).startswith("Program log: ")
        # both forms are read for every event
        raw = b64encode(encode_event(VELOCITY, SETTLED)).decode()
        assert events_of(VELOCITY, said(VELOCITY.program_id, f"Program log: {raw}")) == [SETTLED]
        raw = b64encode(encode_event(VELOCITY, FILL)).decode()
        assert events_of(VELOCITY, said(VELOCITY.program_id, f"Program data: {raw}")) == [FILL]

    def test_what_another_program_says_is_not_the_exchanges(self):
        line = log_line(VELOCITY, SETTLED)
        assert events_of(VELOCITY, said(ELSEWHERE, line)) == []
        assert events_of(VELOCITY, said(ELSEWHERE, log_line(VELOCITY, FILL))) == []
        assert events_of(VELOCITY, said(DRIFT_V2.program_id, line)) == []
        assert events_of(VELOCITY, [line, *said(ELSEWHERE)]) == []

    def test_calls_nest(self):
        mine, his = log_line(VELOCITY, SETTLED), log_line(VELOCITY, FILL)
        logs = said(ELSEWHERE, his, *said(VELOCITY.program_id, mine, *said(ELSEWHERE, his, depth=3), mine, depth=2), his)
        assert events_of(VELOCITY, logs) == [SETTLED, SETTLED]
        logs = said(VELOCITY.program_id, mine, *said(ELSEWHERE, his, depth=2), mine) + said(ELSEWHERE, his)
        assert events_of(VELOCITY, logs) == [SETTLED, SETTLED]

    @pytest.mark.parametrize(
        "text",
        [
            f"fine\nProgram {VELOCITY.program_id} invoke [2]",
            f"Program {VELOCITY.program_id} invoke [2]",
            f"Program {ELSEWHERE} success",
            "Log truncated",
        ],
    )
    def test_a_program_cannot_speak_as_another_through_its_messages(self, text):
        logs = said(ELSEWHERE, f"Program log: {text}", log_line(VELOCITY, SETTLED))
        assert events_of(VELOCITY, logs) == []

    @pytest.mark.parametrize("text", ["Instruction: Deposit", "AAAA", "AAAAAAAAAAAAAAAA", "", "order 7 ==", "abcd" * 20])
    def test_a_plain_message_is_no_event(self, text):
        assert events_of(VELOCITY, said(VELOCITY.program_id, f"Program log: {text}")) == []

    def test_several_slices_on_one_line_are_several_events(self):
        one, two = (b64encode(encode_event(VELOCITY, event)).decode() for event in (SETTLED, DEPOSITED))
        assert events_of(VELOCITY, said(VELOCITY.program_id, f"Program data: {one} {two}")) == [SETTLED, DEPOSITED]

    def test_a_failed_transaction_tells_nothing(self):
        logs = [*said(VELOCITY.program_id, log_line(VELOCITY, SETTLED)), f"Program {ELSEWHERE} invoke [1]"]
        for end in (f"Program {ELSEWHERE} failed: custom program error: 0x1", f"Program {ELSEWHERE} failed: exceeded CUs"):
            log = read_log(VELOCITY, [*logs, end])
            assert (log.events, log.failed, log.complete) == ((), True, True)
            assert events_of(VELOCITY, [*logs, end]) == []

    @pytest.mark.parametrize("program", [VELOCITY.program_id, ELSEWHERE])
    def test_a_cut_log_is_no_empty_log(self, program):
        before, after = log_line(VELOCITY, SETTLED), log_line(VELOCITY, FILL)
        logs = [*said(VELOCITY.program_id, before)[:-1], "Log truncated", f"Program {program} success", after]
        log = read_log(VELOCITY, logs)
        assert (log.events, log.complete) == ((SETTLED,), False)
        with pytest.raises(TruncatedLog, match="1 events") as caught:
            events_of(VELOCITY, logs)
        assert caught.value.events == [SETTLED]

    def test_what_stands_behind_a_cut_is_nobodys(self):
        # the call of the other program was dropped, its line was short enough to be kept
        logs = [
            f"Program {VELOCITY.program_id} invoke [1]",
            "Log truncated",
            log_line(VELOCITY, SETTLED),
            f"Program {VELOCITY.program_id} success",
        ]
        assert read_log(VELOCITY, logs).events == ()

    @pytest.mark.parametrize("logs", [None, [], said(VELOCITY.program_id)[:-1]])
    def test_a_log_that_is_not_there_or_does_not_end_is_not_whole(self, logs):
        assert not read_log(VELOCITY, logs).complete
        with pytest.raises(TruncatedLog):
            events_of(VELOCITY, logs)

    @pytest.mark.parametrize(
        "logs",
        [
            [f"Program {ELSEWHERE} invoke [2]"],
            [f"Program {ELSEWHERE} invoke [1]", f"Program {VELOCITY.program_id} invoke [1]"],
            [f"Program {ELSEWHERE} success"],
            [f"Program {ELSEWHERE} invoke [1]", f"Program {VELOCITY.program_id} success"],
        ],
    )
    def test_calls_that_do_not_nest_are_refused(self, logs):
        with pytest.raises(BadEvent):
            read_log(VELOCITY, logs)

    def test_damaged_lines_are_refused(self):
        line = log_line(VELOCITY, SETTLED)
        for wrong in ("Program data: %%%%", line[:-4], line[:-1]):
            with pytest.raises(BadEvent):
                events_of(VELOCITY, said(VELOCITY.program_id, wrong))
        cut = b64encode(encode_event(VELOCITY, FILL)[:-3]).decode()
        with pytest.raises(BadEvent, match="OrderActionRecord"):
            events_of(VELOCITY, said(VELOCITY.program_id, f"Program log: {cut}"))
