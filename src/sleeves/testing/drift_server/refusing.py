"""How the program refuses: its own error numbers, and those of Anchor for accounts that are wrong.

Source: both programs' `error.rs` (Drift 2.162, Velocity 2.165: the same numbers for all that is raised here), Anchor's `error.rs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from ..solana_server import ProgramError

__all__ = ["ERRORS", "fail", "require"]

ERRORS: Final[Mapping[str, int]] = {
    # Anchor's
    "InstructionFallbackNotFound": 101,
    "InstructionDidNotDeserialize": 102,
    "ConstraintMut": 2000,
    "ConstraintHasOne": 2001,
    "ConstraintRaw": 2003,
    "ConstraintSeeds": 2006,
    "ConstraintTokenMint": 2014,
    "ConstraintTokenOwner": 2015,
    "AccountDiscriminatorMismatch": 3002,
    "AccountNotEnoughKeys": 3005,
    "AccountOwnedByWrongProgram": 3007,
    "InvalidProgramId": 3008,
    "AccountNotSigner": 3010,
    "AccountNotInitialized": 3012,
    # the program's
    "InsufficientDeposit": 6002,
    "InsufficientCollateral": 6003,
    "SufficientCollateral": 6004,
    "MaxNumberOfPositions": 6005,
    "UserHasNoPositionInMarket": 6010,
    "PriceBandsBreached": 6023,
    "ExchangePaused": 6024,
    "InvalidOracle": 6035,
    "OracleNotFound": 6036,
    "MaxDeposit": 6038,
    "CantDeleteUserWithCollateral": 6039,
    "InvalidOrder": 6042,
    "InvalidOrderMarketType": 6044,
    "InvalidOrderNotRiskReducing": 6046,
    "InvalidOrderIOC": 6050,
    "InvalidOrderPostOnly": 6051,
    "InvalidOrderIOCPostOnly": 6052,
    "InvalidOrderMinOrderSize": 6056,
    "PlacePostOnlyLimitFailure": 6057,
    "UserHasNoOrder": 6058,
    "OrderAmountTooSmall": 6059,
    "MaxNumberOfOrders": 6060,
    "OrderDoesNotExist": 6061,
    "OrderNotOpen": 6062,
    "ReduceOnlyOrderIncreasedRisk": 6064,
    "UserOrderIdAlreadyInUse": 6071,
    "PerpMarketNotFound": 6078,
    "MarketWrongMutability": 6081,
    "NoSpotPositionAvailable": 6084,
    "SpotMarketNotFound": 6087,
    "SpotMarketWrongMutability": 6090,
    "SpotMarketInsufficientDeposits": 6092,
    "UserMustSettleTheirOwnPositiveUnsettledPNL": 6093,
    "CantUpdatePoolBalanceType": 6094,
    "InsufficientCollateralForSettlingPNL": 6095,
    "PositionDoesntHaveOpenPositionOrOrders": 6114,
    "UserIsBeingLiquidated": 6117,
    "WrongSpotBalanceType": 6119,
    "UserCantLiquidateThemself": 6120,
    "InvalidPerpPositionToLiquidate": 6121,
    "InvalidBaseAssetAmountForLiquidatePerp": 6122,
    "UserBankrupt": 6125,
    "UserNotBankrupt": 6126,
    "DailyWithdrawLimit": 6128,
    "DefaultError": 6129,
    "MarketActionPaused": 6146,
    "MarketPlaceOrderPaused": 6147,
    "MarketFillOrderPaused": 6148,
    "UserCantBeDeleted": 6152,
    "ReduceOnlyWithdrawIncreasedRisk": 6153,
    "MaxOpenInterest": 6154,
    "LiquidationDoesntSatisfyLimitPrice": 6156,
    "InvalidMarketStatusToSettlePnl": 6158,
    "InvalidOrderFillPrice": 6171,
    "SpotMarketVaultInvariantViolated": 6173,
    "InvalidOrderLimitPrice": 6191,
    "MarketBeingInitialized": 6213,
    "InvalidUserSubAccountId": 6214,
    "InvalidSpotPosition": 6216,
    "CantTransferBetweenSameUserAccount": 6217,
    "FundingWasNotUpdated": 6251,
    "UserReduceOnly": 6254,
    "NoUnsettledPnl": 6259,
    "PnlPoolCantSettleUser": 6260,
    "OracleStaleForMargin": 6264,
    # Velocity's alone
    "SpotMarketInterestStaleForMargin": 6371,
}
"""Error numbers by the program's own names."""


def fail(name: str, why: str = "") -> NoReturn:
    """Fail with an error of that name, logged as Anchor logs it."""
    number = ERRORS[name]
    said = f"AnchorError occurred. Error Code: {name}. Error Number: {number}. Error Message: {name}."
    raise ProgramError(number, f"{said} {why}".strip())


def require(true: bool, name: str, why: str = "") -> None:
    """Fail with that error unless it is true."""
    if not true:
        fail(name, why)
