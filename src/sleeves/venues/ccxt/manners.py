"""How exchanges differ behind ccxt's one face, as a table: what their orders take, and where their money is written down.

ccxt gives all exchanges the same methods, and leaves to its user what a method means there. What is known of an exchange, from
its documents and ccxt's source (4.5), stands here as data; an exchange without a row is handled by `Manner()`, for coins only:
how it books the profit of contracts is not known, and it is never guessed. Hand a `Manner` of your own to the driver for one
that you know.

This module knows what is asked and where the answer is found; it asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from ...market import HOUR, Basis

__all__ = ["MANNERS", "Cash", "Ids", "Lines", "Manner", "Pages", "Realized", "manner_of"]


class Ids(StrEnum):
    """The form in which a client order id is sent."""

    UUID = "uuid"
    HEX = "hex"
    OX = "0x"
    """0x and 32 hex digits."""


class Lines(StrEnum):
    """Where the exchange writes down what its coins did."""

    LEDGER = "ledger"
    """A ledger with a line for each leg of a trade, which names the trade: Kraken spot."""
    LOG = "log"
    """An account log, whose lines are of the wallet before and after: Kraken futures."""
    INCOME = "income"
    """An income history of a contract wallet: profit, commission, funding and transfers as lines of their own: Binance."""
    UPDATES = "updates"
    """Deposits, withdrawals and transfers alone; the rest follows from trades and funding: Hyperliquid."""
    TRADES = "trades"
    """None that is known: trades, deposits and withdrawals stand for it, and anything else is found as a difference."""


class Cash(StrEnum):
    """What of `fetch_balance` are the coins of the account, what contracts have not settled apart."""

    TOTAL = "total"
    WALLET = "wallet"
    """Binance: `walletBalance`; its `total` has the unrealized profit in it."""
    RAW = "raw"
    """Hyperliquid: `totalRawUsd`, which is coins and contracts' money together; the contracts' own part is taken off."""


class Realized(StrEnum):
    """Who says what a trade of contracts has realized."""

    OWN = "own"
    """Nobody needs to: it follows from the trades, at the average price."""
    TRADE = "trade"
    """The trade itself, as `realizedPnl`."""
    LOG = "log"
    """The account log, by the trade's id, and its fee and the funding that fell due with it too."""
    NOBODY = "nobody"
    """It is not known: contracts are refused."""


class Pages(StrEnum):
    """How one gets past the first page of trades."""

    SINCE = "since"
    """From the last one's time on."""
    OFFSET = "offset"
    """By an offset from the newest, `ofs`."""
    BACK = "back"
    """Back from the oldest one's time, `lastFillTime`."""
    FROM_ID = "from id"
    """From a trade's id on, for each market."""


@frozen
class Manner:
    """How one exchange is to be asked, and read. The defaults suit an exchange that nobody has looked at."""

    ids: Ids = Ids.UUID
    ioc: str = ""
    """How an immediate order is worded; nothing: it has none that can be relied on, so that such orders are refused.

    Of many exchanges ccxt says that they have them, hands any word on as it stands, and the order rests.
    """
    fok: str = ""
    """How one is worded that is filled whole or not at all; nothing: refused."""
    post_only: bool = False
    """Whether ccxt's `postOnly` makes an order there that never takes; otherwise such orders are refused."""
    stop: str = ""
    """The parameter for the price of a stop; nothing: stops are refused."""
    good_til: str = ""
    """The parameter for an order's end, in whole seconds; nothing: such orders are refused."""
    order: Mapping[str, str] = field(factory=dict)
    """What goes with each order."""
    needs_price: bool = False
    """Whether an order at market needs a price to count its slippage from."""
    by_book: bool = False
    """Whether prices are read from the book, because its tickers have none, or others."""
    by_client_id: bool = False
    """Whether an order is found by our own id."""
    searches: tuple[str, ...] = ("fetchOpenOrders", "fetchClosedOrders", "fetchCanceledOrders", "fetchOrders")
    """Which lists an order may be in, where it is not found by our id."""
    own_id: str = ""
    """The field of a trade that has our own id of its order, where it has one."""
    per_market: bool | None = None
    """Whether trades and orders are told for one market at a time; None: as ccxt says."""
    trades: Pages = Pages.SINCE
    oldest_first: bool = False
    """Whether a list that is asked for from an instant on begins with its oldest row; not known: each full page is proved whole."""
    lines: Lines = Lines.TRADES
    cash: Cash = Cash.TOTAL
    realized: Realized = Realized.NOBODY
    hidden_fee: bool = False
    """Whether the fee in ccxt's trade is made up from a schedule, and the true one must be read elsewhere."""
    funding_every: int | None = None
    """The time between two funding payments in ns; None: the exchange says so for each contract, or it is refused."""
    basis: Basis = Basis.MARK
    decimals: Mapping[str, int] = field(factory=dict)
    """How finely it counts a coin, by code, where its markets do not say; "*": any that settles contracts."""
    nonce: bool = False
    """Whether its calls carry a number that must rise, by key."""
    counted: tuple[str, ...] = ()
    """Suffixes of wallets that belong to the coin itself."""
    options: Mapping[str, object] = field(factory=dict)
    """ccxt's options that must be so."""
    forced: tuple[str, ...] = ()
    """What ends the word that a trade of a liquidation bears, where trades say so."""


MANNERS: Mapping[str, Manner] = {
    "kraken": Manner(
        ioc="IOC",
        fok="FOK",
        post_only=True,
        oldest_first=True,
        stop="stopLossPrice",
        good_til="expiretm",
        order={"oflags": "fciq"},
        per_market=False,
        searches=("fetchOpenOrders", "fetchClosedOrders"),
        trades=Pages.OFFSET,
        lines=Lines.LEDGER,
        nonce=True,
        counted=(".F",),
    ),
    "krakenfutures": Manner(
        ioc="ioc",  # in capitals ccxt takes it for an order that rests
        fok="",  # ccxt says that it has it, and sends an order that rests
        post_only=True,
        oldest_first=True,
        stop="triggerPrice",
        searches=("fetchOpenOrders", "fetchClosedOrders", "fetchCanceledOrders"),
        own_id="cliOrdId",
        per_market=False,
        trades=Pages.BACK,
        lines=Lines.LOG,
        realized=Realized.LOG,
        hidden_fee=True,
        funding_every=HOUR,
        decimals={"*": 14},
        forced=("liquidation", "assignee", "assignor", "unwindBankrupt", "unwindCounterparty"),
    ),
    "hyperliquid": Manner(
        ids=Ids.OX,
        ioc="Ioc",
        post_only=True,
        oldest_first=True,
        stop="stopLossPrice",
        needs_price=True,
        by_book=True,  # a ticker's bid and ask are impact prices there
        by_client_id=True,
        own_id="cloid",
        per_market=False,
        lines=Lines.UPDATES,
        cash=Cash.RAW,
        realized=Realized.OWN,
        funding_every=HOUR,
        basis=Basis.ORACLE,
        decimals={"*": 6},
        # at its first private call ccxt signs, with the user's own key, a fee for its maker and a referral: neither is wanted
        options={"builderFee": False, "approvedBuilderFee": False, "refSet": True},
    ),
    "binance": Manner(
        ioc="IOC",
        fok="FOK",
        post_only=True,
        oldest_first=True,
        by_client_id=True,
        per_market=True,
        trades=Pages.FROM_ID,
        stop="stopLossPrice",
        options={"warnOnFetchOpenOrdersWithoutSymbol": False, "fetchCurrencies": False},
    ),
    "binanceusdm": Manner(
        ioc="IOC",
        fok="FOK",
        post_only=True,
        oldest_first=True,
        by_client_id=True,
        per_market=True,
        trades=Pages.FROM_ID,
        lines=Lines.INCOME,
        cash=Cash.WALLET,
        realized=Realized.TRADE,
        decimals={"*": 8},
        options={"warnOnFetchOpenOrdersWithoutSymbol": False, "fetchCurrencies": False},
    ),
}
"""What is known, by ccxt's id of the exchange."""


def manner_of(exchange: str) -> Manner:
    """How an exchange is handled, by ccxt's id of it."""
    return MANNERS.get(exchange, Manner())
