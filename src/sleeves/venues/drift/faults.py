"""What the program's error numbers mean, by deployment: a name, a sentence, and whose fault it is.

    fault = fault_of(VELOCITY, 6371)
    fault.name, fault.whose, fault.meaning   # "SpotMarketInterestStaleForMargin", Whose.LATER, "the interest of ..."

The program counts its errors from 6000; below it are those of Anchor, the frame that it is written in. The names are the program's
own, the sentences are ours, and a number whose place nobody here has looked at is `OTHER`: it was refused, and why is not known.
A refused transaction did nothing but cost its fee. It knows no transaction and no log: who called whom is for the caller to say.
Sources: Drift's IDL 2.142 and, for 6325 to 6348, its error list of the time of 2.162; Velocity's IDL 2.165.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

from attrs import frozen

from .deployment import Deployment, Feature

__all__ = ["FIRST", "Fault", "Whose", "fault_of"]

FIRST: Final = 6000
"""The first number of the program's own."""


class Whose(StrEnum):
    """Why a transaction was refused, by who can mend it."""

    RULE = "rule"
    """A rule of the exchange: margin, limits, sizes. The same again is refused again until the account or the market changes."""
    LATER = "later"
    """Something was stale or not up to date: an oracle, a market, its interest. The same may be taken a moment later."""
    PAUSED = "paused"
    """The exchange or the market takes no such thing now."""
    GONE = "gone"
    """What it was about is not there, or no longer: an order, a position, something to settle."""
    MISUSE = "misuse"
    """Our transaction was wrong: an account, a parameter. The same again is never taken."""
    BROKEN = "broken"
    """The program could not go on with what it found: its arithmetic or its own checks failed."""
    OTHER = "other"
    """Not looked at: nothing that is sent from here is known to meet it."""


@frozen
class Fault:
    """One error number: `name` is the program's own, `meaning` a sentence of ours."""

    code: int
    name: str
    whose: Whose
    meaning: str

    @property
    def again(self) -> bool:
        """Whether the same may be taken later without anybody changing anything."""
        return self.whose is Whose.LATER


def fault_of(deployment: Deployment, code: int) -> Fault | None:
    """What an error number of this deployment's program means; None for a number that its table does not have."""
    return _table(deployment.has(Feature.BUILDER_OPTIONS)).get(code)


@lru_cache(maxsize=2)
def _table(velocity: bool) -> Mapping[int, Fault]:
    names = dict(enumerate((_NAMES + _NAMES_OF_VELOCITY if velocity else _NAMES).split(), FIRST))
    if velocity:
        names |= _RENAMED
    faults = {code: _fault(code, name) for code, name in names.items()}
    return faults | {code: Fault(code, name, whose, meaning) for code, (name, whose, meaning) in _ANCHOR.items()}


def _fault(code: int, name: str) -> Fault:
    whose, meaning = _MEANINGS.get(name, (Whose.OTHER, "the program refused it; nothing that is sent from here is known to meet this"))
    return Fault(code, name, whose, meaning)


_NAMES = """
InvalidSpotMarketAuthority InvalidInsuranceFundAuthority InsufficientDeposit InsufficientCollateral SufficientCollateral
MaxNumberOfPositions AdminControlsPricesDisabled MarketDelisted MarketIndexAlreadyInitialized
UserAccountAndUserPositionsAccountMismatch UserHasNoPositionInMarket InvalidInitialPeg InvalidRepegRedundant
InvalidRepegDirection InvalidRepegProfitability SlippageOutsideLimit OrderSizeTooSmall InvalidUpdateK AdminWithdrawTooLarge
MathError BnConversionError ClockUnavailable UnableToLoadOracle PriceBandsBreached ExchangePaused InvalidWhitelistToken
WhitelistTokenNotFound InvalidDiscountToken DiscountTokenNotFound ReferrerNotFound ReferrerStatsNotFound ReferrerMustBeWritable
ReferrerStatsMustBeWritable ReferrerAndReferrerStatsAuthorityUnequal InvalidReferrer InvalidOracle OracleNotFound
LiquidationsBlockedByOracle MaxDeposit CantDeleteUserWithCollateral InvalidFundingProfitability CastingFailure InvalidOrder
InvalidOrderMaxTs InvalidOrderMarketType InvalidOrderForInitialMarginReq InvalidOrderNotRiskReducing InvalidOrderSizeTooSmall
InvalidOrderNotStepSizeMultiple InvalidOrderBaseQuoteAsset InvalidOrderIOC InvalidOrderPostOnly InvalidOrderIOCPostOnly
InvalidOrderTrigger InvalidOrderAuction InvalidOrderOracleOffset InvalidOrderMinOrderSize PlacePostOnlyLimitFailure
UserHasNoOrder OrderAmountTooSmall MaxNumberOfOrders OrderDoesNotExist OrderNotOpen FillOrderDidNotUpdateState
ReduceOnlyOrderIncreasedRisk UnableToLoadAccountLoader TradeSizeTooLarge UserCantReferThemselves DidNotReceiveExpectedReferrer
CouldNotDeserializeReferrer CouldNotDeserializeReferrerStats UserOrderIdAlreadyInUse NoPositionsLiquidatable InvalidMarginRatio
CantCancelPostOnlyOrder InvalidOracleOffset CantExpireOrders CouldNotLoadMarketData PerpMarketNotFound InvalidMarketAccount
UnableToLoadPerpMarketAccount MarketWrongMutability UnableToCastUnixTime CouldNotFindSpotPosition NoSpotPositionAvailable
InvalidSpotMarketInitialization CouldNotLoadSpotMarketData SpotMarketNotFound InvalidSpotMarketAccount
UnableToLoadSpotMarketAccount SpotMarketWrongMutability SpotMarketInterestNotUpToDate SpotMarketInsufficientDeposits
UserMustSettleTheirOwnPositiveUnsettledPNL CantUpdatePoolBalanceType InsufficientCollateralForSettlingPNL
AMMNotUpdatedInSameSlot AuctionNotComplete MakerNotFound MakerStatsNotFound MakerMustBeWritable MakerStatsMustBeWritable
MakerOrderNotFound CouldNotDeserializeMaker CouldNotDeserializeMakerStats AuctionPriceDoesNotSatisfyMaker
MakerCantFulfillOwnOrder MakerOrderMustBePostOnly CantMatchTwoPostOnlys OrderBreachesOraclePriceLimits OrderMustBeTriggeredFirst
OrderNotTriggerable OrderDidNotSatisfyTriggerCondition PositionAlreadyBeingLiquidated PositionDoesntHaveOpenPositionOrOrders
AllOrdersAreAlreadyLiquidations CantCancelLiquidationOrder UserIsBeingLiquidated LiquidationsOngoing WrongSpotBalanceType
UserCantLiquidateThemself InvalidPerpPositionToLiquidate InvalidBaseAssetAmountForLiquidatePerp InvalidPositionLastFundingRate
InvalidPositionDelta UserBankrupt UserNotBankrupt UserHasInvalidBorrow DailyWithdrawLimit DefaultError InsufficientLPTokens
CantLPWithPerpPosition UnableToBurnLPTokens TryingToRemoveLiquidityTooFast InvalidSpotMarketVault InvalidSpotMarketState
InvalidSerumProgram InvalidSerumMarket InvalidSerumBids InvalidSerumAsks InvalidSerumOpenOrders FailedSerumCPI
FailedToFillOnExternalMarket InvalidFulfillmentConfig InvalidFeeStructure InsufficientIFShares MarketActionPaused
MarketPlaceOrderPaused MarketFillOrderPaused MarketWithdrawPaused ProtectedAssetTierViolation IsolatedAssetTierViolation
UserCantBeDeleted ReduceOnlyWithdrawIncreasedRisk MaxOpenInterest CantResolvePerpBankruptcy LiquidationDoesntSatisfyLimitPrice
MarginTradingDisabled InvalidMarketStatusToSettlePnl PerpMarketNotInSettlement PerpMarketNotInReduceOnly
PerpMarketSettlementBufferNotReached PerpMarketSettlementUserHasOpenOrders PerpMarketSettlementUserHasActiveLP
UnableToSettleExpiredUserPosition UnequalMarketIndexForSpotTransfer InvalidPerpPositionDetected InvalidSpotPositionDetected
InvalidAmmDetected InvalidAmmForFillDetected InvalidAmmLimitPriceOverride InvalidOrderFillPrice
SpotMarketBalanceInvariantViolated SpotMarketVaultInvariantViolated InvalidPDA InvalidPDASigner RevenueSettingsCannotSettleToIF
NoRevenueToSettleToIF NoAmmPerpPnlDeficit SufficientPerpPnlPool InsufficientPerpPnlPool PerpPnlDeficitBelowThreshold
MaxRevenueWithdrawPerPeriodReached MaxIFWithdrawReached NoIFWithdrawAvailable InvalidIFUnstake InvalidIFUnstakeSize
InvalidIFUnstakeCancel InvalidIFForNewStakes InvalidIFRebase InvalidInsuranceUnstakeSize InvalidOrderLimitPrice
InvalidIFDetected InvalidAmmMaxSpreadDetected InvalidConcentrationCoef InvalidSrmVault InvalidVaultOwner
InvalidMarketStatusForFills IFWithdrawRequestInProgress NoIFWithdrawRequestInProgress IFWithdrawRequestTooSmall
IncorrectSpotMarketAccountPassed BlockchainClockInconsistency InvalidIFSharesDetected NewLPSizeTooSmall
MarketStatusInvalidForNewLP InvalidMarkTwapUpdateDetected MarketSettlementAttemptOnActiveMarket
MarketSettlementRequiresSettledLP MarketSettlementAttemptTooEarly MarketSettlementTargetPriceInvalid UnsupportedSpotMarket
SpotOrdersDisabled MarketBeingInitialized InvalidUserSubAccountId InvalidTriggerOrderCondition InvalidSpotPosition
CantTransferBetweenSameUserAccount InvalidPerpPosition UnableToGetLimitPrice InvalidLiquidation SpotFulfillmentConfigDisabled
InvalidMaker FailedUnwrap MaxNumberOfUsers InvalidOracleForSettlePnl MarginOrdersOpen TierViolationLiquidatingPerpPnl
CouldNotLoadUserData UserWrongMutability InvalidUserAccount CouldNotLoadUserStatsData UserStatsWrongMutability
InvalidUserStatsAccount UserNotFound UnableToLoadUserAccount UserStatsNotFound UnableToLoadUserStatsAccount UserNotInactive
RevertFill InvalidMarketAccountforDeletion InvalidSpotFulfillmentParams FailedToGetMint FailedPhoenixCPI
FailedToDeserializePhoenixMarket InvalidPricePrecision InvalidPhoenixProgram InvalidPhoenixMarket InvalidSwap
SwapLimitPriceBreached SpotMarketReduceOnly FundingWasNotUpdated ImpossibleFill CantUpdatePerpBidAskTwap UserReduceOnly
InvalidMarginCalculation CantPayUserInitFee CantReclaimRent InsuranceFundOperationPaused NoUnsettledPnl PnlPoolCantSettleUser
OracleNonPositive OracleTooVolatile OracleTooUncertain OracleStaleForMargin OracleInsufficientDataPoints OracleStaleForAMM
UnableToParsePullOracleMessage MaxBorrows OracleUpdatesNotMonotonic OraclePriceFeedMessageMismatch OracleUnsupportedMessageType
OracleDeserializeMessageFailed OracleWrongGuardianSetOwner OracleWrongWriteAuthority OracleWrongVaaOwner
OracleTooManyPriceAccountUpdates OracleMismatchedVaaAndPriceUpdates OracleBadRemainingAccountPublicKey FailedOpenbookV2CPI
InvalidOpenbookV2Program InvalidOpenbookV2Market NonZeroTransferFee LiquidationOrderFailedToFill InvalidPredictionMarketOrder
InvalidVerificationIxIndex SigVerificationFailed MismatchedSignedMsgOrderParamsMarketIndex InvalidSignedMsgOrderParam
PlaceAndTakeOrderSuccessConditionFailed InvalidHighLeverageModeConfig InvalidRFQUserAccount RFQUserAccountWrongMutability
RFQUserAccountFull RFQOrderNotFilled InvalidRFQOrder InvalidRFQMatch InvalidSignedMsgUserAccount
SignedMsgUserAccountWrongMutability SignedMsgUserOrdersAccountFull SignedMsgOrderDoesNotExist InvalidSignedMsgOrderId
InvalidPoolId InvalidProtectedMakerModeConfig InvalidPythLazerStorageOwner UnverifiedPythLazerMessage InvalidPythLazerMessage
PythLazerMessagePriceFeedMismatch InvalidLiquidateSpotWithSwap SignedMsgUserContextUserMismatch UserFuelOverflowThresholdNotMet
FuelOverflowAccountNotFound InvalidTransferPerpPosition InvalidSignedMsgUserOrdersResize
CouldNotDeserializeHighLeverageModeConfig InvalidIfRebalanceConfig InvalidIfRebalanceSwap InvalidRevenueShareResize
BuilderRevoked InvalidBuilderFee RevenueShareEscrowAuthorityMismatch RevenueShareEscrowOrdersAccountFull
InvalidRevenueShareAccount CannotRevokeBuilderWithOpenOrders UnableToLoadRevenueShareAccount InvalidConstituent
InvalidAmmConstituentMappingArgument ConstituentNotFound ConstituentCouldNotLoad ConstituentWrongMutability
WrongNumberOfConstituents InsufficientConstituentTokenBalance AMMCacheStale LpPoolAumDelayed ConstituentOracleStale
LpInvariantFailed InvalidConstituentDerivativeWeights MaxDlpAumBreached SettleLpPoolDisabled MintRedeemLpPoolDisabled
LpPoolSettleInvariantBreached InvalidConstituentOperation Unauthorized InvalidLpPoolId MarketIndexNotFoundAmmCache
InvalidIsolatedPerpMarket InvalidOrderScaleOrderCount InvalidOrderScalePriceRange InvalidPerpMarketConfig
"""
_NAMES_OF_VELOCITY = """
InvalidInsuranceFundWithdrawalRecipient SpotDlobTradingDisabled InvalidAdminTier WithdrawGuardThresholdNotionalTooLarge
InvalidProtocolFeeRecipient InsufficientProtocolFees InvalidNativeStateAccount InvalidNativePerpMarketAccount IsolatedPositionDisabled
EquityBelowFloor InvalidEquityFloorTransfer IFDepositMintsZeroShares LiquidationWorsensAccountHealth PerpBankruptcyMustPrecedeSpot
InvalidRevenueShareRecipient DailyDepositLimit ReservedSpotMarketName CannotModifyBuilderOrder InvalidAccountExtension
InvalidEquityBreakerReset InvalidNativeInstructionData MmOracleUpdateDisabled SpotMarketInterestStaleForMargin
UnsettledRevenueShareOnDelist RevenueShareOrderNotForfeitable
"""
_RENAMED = {
    6094: "CantUpdateSpotBalanceType",
    6284: "DepreciatedPredictionMarketOrder",
    6290: "DeprecatedHighLeverageModeConfig",
    6310: "Deprecated1",
    6311: "Deprecated2",
    6314: "DeprecatedCouldNotDeserializeHighLeverageModeConfig",
}
"""Numbers that Velocity keeps under another name."""

_RULE, _LATER, _PAUSED, _GONE, _MISUSE, _BROKEN = Whose.RULE, Whose.LATER, Whose.PAUSED, Whose.GONE, Whose.MISUSE, Whose.BROKEN

_MEANINGS: Mapping[str, tuple[Whose, str]] = {
    # money in and out
    "InsufficientDeposit": (_RULE, "there is less on deposit than was asked for, or an amount of nothing was"),
    "InsufficientCollateral": (_RULE, "what would be left does not carry the margin"),
    "MaxDeposit": (_RULE, "the market takes no more deposits"),
    "DailyWithdrawLimit": (_RULE, "the market's guard lets no more out for now"),
    "DailyDepositLimit": (_RULE, "the market's guard lets no more in for now"),
    "MaxBorrows": (_RULE, "the market lends no more"),
    "MarginTradingDisabled": (_RULE, "the account does not allow borrowings"),
    "ReduceOnlyWithdrawIncreasedRisk": (_RULE, "a reduce-only withdrawal would have opened a borrow"),
    "UserHasInvalidBorrow": (_RULE, "the account would be left with a borrow that it may not have"),
    "SpotMarketReduceOnly": (_RULE, "the coin's market only lets positions shrink"),
    "SpotMarketInsufficientDeposits": (_RULE, "the market has not enough deposits to pay it out"),
    "CantTransferBetweenSameUserAccount": (_MISUSE, "a sub-account cannot send to itself"),
    "EquityBelowFloor": (_RULE, "the account's equity is below its floor"),
    "InvalidEquityFloorTransfer": (_RULE, "a transfer would break a sub-account's floor of equity"),
    "InvalidPoolId": (_MISUSE, "the account and the market are of two pools"),
    "NonZeroTransferFee": (_RULE, "the coin takes a fee of its own from transfers"),
    "ProtectedAssetTierViolation": (_RULE, "it would borrow what is protected"),
    "IsolatedAssetTierViolation": (_RULE, "it would mix an isolated coin with other borrowings"),
    "InvalidSpotMarketVault": (_MISUSE, "the vault given is not the market's"),
    "InvalidVaultOwner": (_MISUSE, "the vault given is not owned by the program's signer"),
    # accounts
    "MaxNumberOfPositions": (_RULE, "the account has no slot left for another position"),
    "NoSpotPositionAvailable": (_RULE, "the account has no slot left for another coin"),
    "MaxNumberOfUsers": (_RULE, "the exchange takes no more accounts"),
    "CantPayUserInitFee": (_RULE, "the payer cannot pay the fee of a new account"),
    "InvalidUserSubAccountId": (_MISUSE, "sub-accounts are created in turn, and this is not the next number"),
    "UserCantBeDeleted": (_RULE, "the account is not empty"),
    "CantDeleteUserWithCollateral": (_RULE, "the account is not empty"),
    "UserIsBeingLiquidated": (_RULE, "the account is being liquidated"),
    "LiquidationsOngoing": (_RULE, "the account is being liquidated"),
    "UserBankrupt": (_RULE, "the account is bankrupt"),
    "UserReduceOnly": (_RULE, "the account may only let positions shrink"),
    "InvalidUserAccount": (_MISUSE, "an account that was given is no user's"),
    "UserNotFound": (_MISUSE, "a user's account that it needs was not given"),
    "UserWrongMutability": (_MISUSE, "a user's account was given that may not be written"),
    "UnableToLoadUserAccount": (_MISUSE, "a user's account cannot be read"),
    "UserStatsNotFound": (_MISUSE, "a user's statistics that it needs were not given"),
    "Unauthorized": (_MISUSE, "the signer may not do this"),
    # orders
    "InvalidOrder": (_MISUSE, "the order contradicts itself or the market's terms"),
    "InvalidOrderMaxTs": (_RULE, "the order would expire before it could be placed"),
    "InvalidOrderMarketType": (_MISUSE, "the order names the wrong kind of market"),
    "InvalidOrderForInitialMarginReq": (_RULE, "the order needs more margin than there is"),
    "InvalidOrderNotRiskReducing": (_RULE, "only orders that reduce risk are taken here"),
    "InvalidOrderSizeTooSmall": (_RULE, "the order is too small"),
    "OrderSizeTooSmall": (_RULE, "the order is too small"),
    "OrderAmountTooSmall": (_RULE, "the order is too small"),
    "InvalidOrderMinOrderSize": (_RULE, "the order is below the market's least size"),
    "InvalidOrderNotStepSizeMultiple": (_MISUSE, "the order's size is no whole number of the market's steps"),
    "InvalidOrderBaseQuoteAsset": (_MISUSE, "the order has no size that can be"),
    "InvalidOrderIOC": (_MISUSE, "such an order cannot be cancelled at once"),
    "InvalidOrderPostOnly": (_MISUSE, "such an order cannot be post-only"),
    "InvalidOrderIOCPostOnly": (_MISUSE, "an order is not both post-only and cancelled at once"),
    "InvalidOrderTrigger": (_MISUSE, "the order's trigger contradicts its kind"),
    "InvalidOrderAuction": (_MISUSE, "the order's auction cannot be"),
    "InvalidOrderOracleOffset": (_MISUSE, "the order's distance from the oracle cannot be"),
    "InvalidOracleOffset": (_MISUSE, "the order's distance from the oracle cannot be"),
    "InvalidOrderLimitPrice": (_MISUSE, "the order's price is none, or no whole number of the market's ticks"),
    "InvalidTriggerOrderCondition": (_MISUSE, "the order's trigger condition cannot be"),
    "PlacePostOnlyLimitFailure": (_RULE, "the order had to be post-only and would have taken"),
    "OrderBreachesOraclePriceLimits": (_RULE, "the order's price is too far from the oracle"),
    "PriceBandsBreached": (_RULE, "the price is outside the market's bands"),
    "SlippageOutsideLimit": (_RULE, "the price moved past the limit"),
    "MaxNumberOfOrders": (_RULE, "the account has no slot left for another order"),
    "UserOrderIdAlreadyInUse": (_RULE, "another open order has this client's byte"),
    "ReduceOnlyOrderIncreasedRisk": (_RULE, "a reduce-only order would have grown the position"),
    "TradeSizeTooLarge": (_RULE, "the order is too large"),
    "MaxOpenInterest": (_RULE, "the market's open interest may grow no further"),
    "SpotOrdersDisabled": (_PAUSED, "the market takes no spot orders"),
    "SpotDlobTradingDisabled": (_PAUSED, "spot orders were taken out of the program"),
    "IsolatedPositionDisabled": (_PAUSED, "isolated positions are not part of this build"),
    "MarketPlaceOrderPaused": (_PAUSED, "the market takes no orders now"),
    "UserHasNoOrder": (_GONE, "the account has no such order"),
    "OrderDoesNotExist": (_GONE, "there is no such order, or no longer"),
    "OrderNotOpen": (_GONE, "the order is not open"),
    "CantCancelPostOnlyOrder": (_RULE, "a post-only order cannot be cancelled in the slot that it was placed in"),
    "CantCancelLiquidationOrder": (_RULE, "a liquidator's order cannot be cancelled"),
    "CannotModifyBuilderOrder": (_RULE, "an order with a builder is cancelled and placed anew, not amended"),
    # settling
    "UserHasNoPositionInMarket": (_GONE, "the account has no position in this market"),
    "NoUnsettledPnl": (_GONE, "there is nothing to settle"),
    "PnlPoolCantSettleUser": (_RULE, "the market's pool has nothing to pay a profit with"),
    "InsufficientPerpPnlPool": (_RULE, "the market's pool has not enough to pay it"),
    "UserMustSettleTheirOwnPositiveUnsettledPNL": (_RULE, "a profit is settled by its owner only"),
    "InsufficientCollateralForSettlingPNL": (_RULE, "a loss is settled only while the margin holds"),
    "InvalidMarketStatusToSettlePnl": (_PAUSED, "the market settles nothing now"),
    "InvalidOracleForSettlePnl": (_LATER, "the oracle is not good enough to settle by"),
    "AMMNotUpdatedInSameSlot": (_LATER, "the market was not brought up to date in this slot"),
    "PerpMarketSettlementUserHasOpenOrders": (_RULE, "open orders stand in the way of settling an expired market"),
    # oracles, interest
    "InvalidOracle": (_LATER, "the oracle's price is not good enough now"),
    "OracleNonPositive": (_LATER, "the oracle says no price above zero"),
    "OracleTooVolatile": (_LATER, "the oracle's price moved too far from its average"),
    "OracleTooUncertain": (_LATER, "the oracle is not sure enough of its price"),
    "OracleStaleForMargin": (_LATER, "the oracle's price is too old for margin"),
    "OracleStaleForAMM": (_LATER, "the oracle's price is too old for the market maker"),
    "OracleInsufficientDataPoints": (_LATER, "the oracle has too few sources now"),
    "SpotMarketInterestNotUpToDate": (_LATER, "a spot market's interest is not up to date"),
    "SpotMarketInterestStaleForMargin": (
        _LATER,
        "the interest of a borrowed coin is too old for margin: refresh it in the same transaction",
    ),
    "FundingWasNotUpdated": (_LATER, "the market's funding was not up to date"),
    "BlockchainClockInconsistency": (_LATER, "the chain's clock stands before the market's last time"),
    "OracleNotFound": (_MISUSE, "an oracle that it needs was not given"),
    "UnableToLoadOracle": (_MISUSE, "an oracle that was given cannot be read"),
    # markets
    "PerpMarketNotFound": (_MISUSE, "a perp market that it needs was not given"),
    "SpotMarketNotFound": (_MISUSE, "a spot market that it needs was not given"),
    "CouldNotLoadMarketData": (_MISUSE, "a market that was given cannot be read"),
    "CouldNotLoadSpotMarketData": (_MISUSE, "a spot market that was given cannot be read"),
    "InvalidMarketAccount": (_MISUSE, "an account that was given is no market"),
    "InvalidSpotMarketAccount": (_MISUSE, "an account that was given is no spot market"),
    "UnableToLoadPerpMarketAccount": (_MISUSE, "a perp market that was given cannot be read"),
    "UnableToLoadSpotMarketAccount": (_MISUSE, "a spot market that was given cannot be read"),
    "MarketWrongMutability": (_MISUSE, "a market was given that may not be written"),
    "SpotMarketWrongMutability": (_MISUSE, "a spot market was given that may not be written"),
    "IncorrectSpotMarketAccountPassed": (_MISUSE, "another spot market was given than is meant"),
    "CouldNotFindSpotPosition": (_GONE, "the account has no such coin"),
    "InvalidPDA": (_MISUSE, "an address is not the one that it is derived to"),
    "InvalidPDASigner": (_MISUSE, "an address is not the one that it is derived to"),
    "FailedToGetMint": (_MISUSE, "the coin's mint was not given"),
    "ExchangePaused": (_PAUSED, "the exchange is paused"),
    "MarketActionPaused": (_PAUSED, "the market has paused this"),
    "MarketWithdrawPaused": (_PAUSED, "the market lets nothing out now"),
    "MarketFillOrderPaused": (_PAUSED, "the market fills no orders now"),
    "MarketDelisted": (_PAUSED, "the market was delisted"),
    "MarketBeingInitialized": (_PAUSED, "the market has not begun"),
    # the program's own
    "MathError": (_BROKEN, "the program's arithmetic failed"),
    "BnConversionError": (_BROKEN, "a number did not fit"),
    "CastingFailure": (_BROKEN, "a number did not fit"),
    "FailedUnwrap": (_BROKEN, "the program missed a value that it counts on"),
    "UnableToLoadAccountLoader": (_BROKEN, "an account is in use twice, or is not of the program's kind"),
    "InvalidMarginCalculation": (_BROKEN, "the program's margin calculation contradicts itself"),
    "SpotMarketBalanceInvariantViolated": (_BROKEN, "a spot market's balances do not add up"),
    "SpotMarketVaultInvariantViolated": (_BROKEN, "a spot market's vault holds less than it owes"),
    "InvalidPerpPositionDetected": (_BROKEN, "a perp position contradicts itself"),
    "InvalidSpotPositionDetected": (_BROKEN, "a spot position contradicts itself"),
    "InvalidAmmDetected": (_BROKEN, "a market's curve contradicts itself"),
    "DefaultError": (_BROKEN, "the program says nothing more than that it failed"),
}

_ANCHOR: Mapping[int, tuple[str, Whose, str]] = {
    101: ("InstructionFallbackNotFound", _MISUSE, "the program has no such instruction"),
    102: ("InstructionDidNotDeserialize", _MISUSE, "the instruction's data is not what the program takes"),
    2000: ("ConstraintMut", _MISUSE, "an account had to be writable"),
    2001: ("ConstraintHasOne", _MISUSE, "an account does not belong to another one given"),
    2002: ("ConstraintSigner", _MISUSE, "a signature is missing"),
    2003: ("ConstraintRaw", _MISUSE, "a condition on the accounts does not hold: often a signer who may not sign for this account"),
    2004: ("ConstraintOwner", _MISUSE, "an account is owned by another program"),
    2006: ("ConstraintSeeds", _MISUSE, "an address is not the one that it is derived to"),
    2014: ("ConstraintTokenMint", _MISUSE, "a token account is of another coin"),
    2015: ("ConstraintTokenOwner", _MISUSE, "a token account belongs to somebody else"),
    3000: ("AccountDiscriminatorAlreadySet", _MISUSE, "an account that was to be created is there already"),
    3001: ("AccountDiscriminatorNotFound", _MISUSE, "an account has no mark of its kind"),
    3002: ("AccountDiscriminatorMismatch", _MISUSE, "an account is of another kind"),
    3003: ("AccountDidNotDeserialize", _MISUSE, "an account cannot be read"),
    3005: ("AccountNotEnoughKeys", _MISUSE, "accounts are missing"),
    3006: ("AccountNotMutable", _MISUSE, "an account had to be writable"),
    3007: ("AccountOwnedByWrongProgram", _MISUSE, "an account is owned by another program"),
    3008: ("InvalidProgramId", _MISUSE, "another program was given than is meant"),
    3010: ("AccountNotSigner", _MISUSE, "a signature is missing"),
    3012: ("AccountNotInitialized", _MISUSE, "an account was never created"),
}
"""Errors of Anchor, which checks an instruction's accounts before the program sees them. Source: Anchor's own list of errors."""
