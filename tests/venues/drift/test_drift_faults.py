"""The program's error numbers: names by deployment, and whose fault each is."""

from __future__ import annotations

import pytest

from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY, VELOCITY_DEVNET, Deployment
from sleeves.venues.drift.faults import FIRST, Whose, fault_of


@pytest.mark.parametrize(
    ("deployment", "code", "name", "whose"),
    [
        # Drift's IDL 2.142, Velocity's IDL 2.165: first and last of each, and those that an engine meets
        (DRIFT_V2, 6000, "InvalidSpotMarketAuthority", Whose.OTHER),
        (DRIFT_V2, 6003, "InsufficientCollateral", Whose.RULE),
        (VELOCITY, 6003, "InsufficientCollateral", Whose.RULE),
        (VELOCITY, 6016, "OrderSizeTooSmall", Whose.RULE),
        (VELOCITY, 6038, "MaxDeposit", Whose.RULE),
        (VELOCITY, 6060, "MaxNumberOfOrders", Whose.RULE),
        (VELOCITY, 6061, "OrderDoesNotExist", Whose.GONE),
        (VELOCITY, 6071, "UserOrderIdAlreadyInUse", Whose.RULE),
        (VELOCITY, 6078, "PerpMarketNotFound", Whose.MISUSE),
        (VELOCITY, 6081, "MarketWrongMutability", Whose.MISUSE),
        (VELOCITY, 6096, "AMMNotUpdatedInSameSlot", Whose.LATER),
        (VELOCITY, 6117, "UserIsBeingLiquidated", Whose.RULE),
        (VELOCITY, 6128, "DailyWithdrawLimit", Whose.RULE),
        (VELOCITY, 6153, "ReduceOnlyWithdrawIncreasedRisk", Whose.RULE),
        (VELOCITY, 6259, "NoUnsettledPnl", Whose.GONE),
        (VELOCITY, 6264, "OracleStaleForMargin", Whose.LATER),
        (DRIFT_V2, 6284, "InvalidPredictionMarketOrder", Whose.OTHER),
        (VELOCITY, 6284, "DepreciatedPredictionMarketOrder", Whose.OTHER),
        (DRIFT_V2, 6094, "CantUpdatePoolBalanceType", Whose.OTHER),
        (VELOCITY, 6094, "CantUpdateSpotBalanceType", Whose.OTHER),
        (DRIFT_V2, 6324, "UnableToLoadRevenueShareAccount", Whose.OTHER),
        (DRIFT_V2, 6348, "InvalidPerpMarketConfig", Whose.OTHER),
        (VELOCITY, 6350, "SpotDlobTradingDisabled", Whose.PAUSED),
        (VELOCITY, 6357, "IsolatedPositionDisabled", Whose.PAUSED),
        (VELOCITY, 6358, "EquityBelowFloor", Whose.RULE),
        (VELOCITY_DEVNET, 6371, "SpotMarketInterestStaleForMargin", Whose.LATER),
        (VELOCITY, 6373, "RevenueShareOrderNotForfeitable", Whose.OTHER),
        (DRIFT_V2, 3012, "AccountNotInitialized", Whose.MISUSE),
        (VELOCITY, 2006, "ConstraintSeeds", Whose.MISUSE),
    ],
)
def test_a_number_has_the_name_that_the_program_gives_it(deployment: Deployment, code: int, name: str, whose: Whose) -> None:
    fault = fault_of(deployment, code)
    assert fault is not None
    assert (fault.code, fault.name, fault.whose) == (code, name, whose)
    assert fault.again is (whose is Whose.LATER)
    assert fault.meaning


@pytest.mark.parametrize(
    ("deployment", "code"), [(DRIFT_V2, 6349), (VELOCITY, 6374), (VELOCITY, 5999), (VELOCITY, 0), (DRIFT_V2, 1), (DRIFT_V2, -1)]
)
def test_a_number_outside_the_table_is_not_known(deployment: Deployment, code: int) -> None:
    assert fault_of(deployment, code) is None


@pytest.mark.parametrize(("deployment", "count"), [(DRIFT_V2, 349), (VELOCITY, 374)])
def test_the_programs_numbers_are_without_a_gap_and_every_name_stands_once(deployment: Deployment, count: int) -> None:
    names = [fault.name for code in range(FIRST, FIRST + count) if (fault := fault_of(deployment, code)) is not None]
    assert len(names) == count
    assert len(set(names)) == count
