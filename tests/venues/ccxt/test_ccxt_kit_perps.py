"""The promises of a venue, kept by the ccxt driver on the shapes of four exchanges over a simulated market, over real sockets.

All of them on Binance's USD-M futures; of the others those that an exchange's own words could break. Kraken spot has a kit of its own.
"""

from __future__ import annotations

import anyio
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

from attrs import evolve
from ccxt_stand import SHAPES, InStep

from sleeves.testing import Script, audit, venue_suite

PATIENT = {"patience": lambda: anyio.fail_after(20)}

SOME = (
    "a_taker_pays_its_fee",
    "a_maker_pays_its_fee_or_receives_its_rebate",
    "no_order_is_filled_beyond_its_worst_price",
    "an_order_sent_twice_is_one_order",
    "a_cancel_sent_twice_is_one_cancel",
    "a_part_fills_when_only_a_part_is_there",
    "a_refusal_is_an_event",
    "an_order_for_a_stranger_sent_twice_is_refused_once",
    "only_venue_errors_leave_a_broken_connection",
    "post_only_never_takes",
    "reduce_only_never_opens",
    "fill_or_kill_is_whole_or_nothing",
    "positive_funding_goes_from_long_to_short",
    "settling_changes_no_equity",
    "history_tells_what_was_told",
    "history_begins_where_it_is_asked_to",
    "an_order_is_found_by_its_id",
    "open_orders_are_those_that_are_open",
    "cash_flows_sum_to_what_balances_changed_by",
    "a_desk_balances_on_it",
)


async def on_binance(script: Script) -> InStep:
    return await InStep(SHAPES["binanceusdm"], script).__aenter__()


class TestCcxtPerpetuals(venue_suite(on_binance, evolve(SHAPES["binanceusdm"].offer, **PATIENT))):  # type: ignore[misc]
    pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # noqa: RUF012 pytest reads a list

    @pytest.fixture(params=["asyncio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["krakenfutures", "hyperliquid", "binance"])
def test_the_promises_hold_on_another_shape(name: str) -> None:
    async def make_venue(script: Script) -> InStep:
        return await InStep(SHAPES[name], script).__aenter__()

    found = anyio.run(lambda: audit(make_venue, evolve(SHAPES[name].offer, **PATIENT), *SOME), backend="trio")
    assert found.holds, "\n".join(map(str, found.broken))
    assert sum(verdict.result == "holds" for verdict in found.verdicts) >= 16, str(found)
