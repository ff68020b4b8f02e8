"""A look at an exchange through ccxt and at the keys to it, before money is trusted to them.

    async with Ccxt("binance", [], keys=key, poll=None) as venue:
        print(await checkup(venue, ["ETH/USDT"]))

It only asks. What ccxt has of an exchange is laid beside what the driver needs; each key is asked by itself and stays whose it
was. ccxt has no method for what a key may do, so for the exchanges of `RIGHTS` their own is called, and for others that is said.
What is not answered is a finding, in the exchange's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal
from functools import partial
from typing import Any

import anyio.to_thread
from attrs import evolve, frozen

from ...errors import InvalidAmount, InvalidMarket, VenueUnavailable
from ...keys import Held, Right, Rights, check_rights
from ..checkup import KRAKEN_PERMISSIONS, Checkup, Grade, Isolation, Look, ahead, virtual
from .driver import Ccxt
from .manners import MANNERS, Lines, Manner
from .names import exact, seen

__all__ = ["RIGHTS", "SUB_ACCOUNTS", "Asked", "checkup", "isolation"]

MILLISECOND = 1_000_000


# -- what is known of exchanges --------------------------------------------------------------------------------------------


@frozen
class Asked:
    """How one exchange is asked what a key may do: its own method by ccxt's name of it, how its words and its list of addresses are
    read from the answer, what they mean, and which of them the driver does not work without.
    """

    method: str
    read: Callable[[Mapping[str, Any]], tuple[object, object]]
    means: Mapping[str, Right | None]
    needed: tuple[str, ...] = ()

    def rights(self, answer: object) -> tuple[Rights, frozenset[str]]:
        """What the key may do, and in which words. Raises `VenueUnavailable` where the answer does not say."""
        words, addresses = self.read(answer) if isinstance(answer, dict) else (None, None)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise VenueUnavailable("the answer does not say what it may do")
        listed = addresses if isinstance(addresses, list) and all(isinstance(one, str) for one in addresses) else None
        return Rights.of(*words, addresses=listed, means=self.means), frozenset(words)


def _kraken(answer: Mapping[str, Any]) -> tuple[object, object]:
    told = answer.get("result") or {}
    return told.get("permissions"), told.get("ipAllowlist")


def _binance(answer: Mapping[str, Any]) -> tuple[object, object]:
    yes = (True, "true")
    bound = ["those that the exchange has listed"] if answer.get("ipRestrict") in yes else []
    flags = [name for name, value in answer.items() if value in yes and name.startswith(("enable", "permits"))]
    return flags if "enableReading" in answer else None, bound


_OF_BINANCE = Asked(
    "sapiGetAccountApiRestrictions",
    _binance,
    {
        "enableReading": Right.READ,
        "enableSpotAndMarginTrading": Right.TRADE,
        "enableFutures": Right.TRADE,
        "enableWithdrawals": Right.WITHDRAW,
        "enableInternalTransfer": Right.TRANSFER,
        "permitsUniversalTransfer": Right.TRANSFER,
        "enableMargin": None,
        "enableVanillaOptions": None,
        "enablePortfolioMarginTrading": None,
        "enableFixApiTrade": None,
        "enableFixReadOnly": None,
    },
)

RIGHTS: Mapping[str, Asked] = {
    "kraken": Asked(
        "privatePostGetApiKeyInfo",
        _kraken,
        KRAKEN_PERMISSIONS,
        ("query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "modify-trades"),
    ),
    "binance": evolve(_OF_BINANCE, needed=("enableReading", "enableSpotAndMarginTrading")),
    "binanceusdm": evolve(_OF_BINANCE, needed=("enableReading", "enableFutures")),
}
"""By ccxt's id, how it is asked what a key may do. Source: the exchanges' own documentation of these two calls."""

TRANSFERS = "money has to move in time: transfers take a call, and a key that may make them, which no trading key should"
KEYS = "the keys are mixed up: each sub-account has keys of its own"
TOGETHER = "the exchange locks or loses the master account: what hangs on it goes with it"

SUB_ACCOUNTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kraken": (
        "at Kraken spot they are for institutional clients, set up by Kraken",
        (KEYS, TRANSFERS, "one of them trades too fast: all share one limit of orders", TOGETHER),
    ),
    "krakenfutures": ("Kraken sets them up where a client asks its support and is eligible", (KEYS, TRANSFERS, TOGETHER)),
    "binance": ("where the account is entitled to them; each has keys of its own", (KEYS, TRANSFERS, TOGETHER)),
    "binanceusdm": ("where the account is entitled to them; each has keys of its own", (KEYS, TRANSFERS, TOGETHER)),
    "hyperliquid": (
        "up to ten, for accounts that have traded 100,000 dollars; they have no keys, the master's signs for them",
        ("the one key is lost: it signs for all of them", TRANSFERS, "an order does not name its sub-account: this driver names none"),
    ),
}
"""What is known of sub-accounts, by ccxt's id: who gets them, and how they fail. Source: the exchanges' and integrators' pages."""

NO_CHAIN = Isolation("on-chain", False, "the exchange holds the coins: there is no account on a chain that one strategy could have")
CHAIN = Isolation(
    "on-chain",
    True,
    "the exchange is a chain: another wallet is another account",
    ("a wallet's key is lost: nobody can replace it", "money has to move in time: from one wallet to another it is a transaction"),
)

NEEDED: Mapping[str, str] = {
    "createOrder": "no order can be sent",
    "cancelOrder": "no order can be canceled",
    "fetchBalance": "what the account holds cannot be asked",
    "fetchMyTrades": "fills cannot be asked, and books are made of nothing else",
    "fetchOpenOrders": "an order whose answer is lost cannot be looked for",
}
"""What the driver does not work without, by ccxt's words in `has`, and why."""

WANTED: Mapping[str, str] = {
    "fetchOrder": "what became of an order is read from lists",
    "fetchTicker": "prices are read from the book, if that is there",
    "fetchOrderBook": "prices are read from tickers alone",
    "fetchTradingFee": "the account's own fees are not told",
}
OF_CONTRACTS: Mapping[str, str] = {
    "fetchPositions": "what contracts are held cannot be held against the books",
    "fetchFundingRate": "funding rates are not told",
    "fetchFundingHistory": "funding payments are not told, and are found as differences",
}
OF_LINES: Mapping[Lines, Mapping[str, str]] = {
    Lines.TRADES: dict.fromkeys(("fetchDeposits", "fetchWithdrawals"), "such moves of money are found as differences"),
    Lines.LEDGER: {"fetchLedger": "the ledger, which is the truth about money, cannot be read"},
}


# -- looking ---------------------------------------------------------------------------------------------------------------


async def checkup(venue: Ccxt, markets: Iterable[str] | None = None) -> Checkup:
    """Look at the exchange of a driver that is open, at these markets (its own, where none are named), and at each of its keys.

    Raises nothing for what the other side does: that is a finding.
    """
    exchange, ring = venue._line.exchange, venue._ring
    symbols = tuple(venue.instruments if markets is None else markets)
    look = Look(venue.name, str if ring is None else ring.hide)
    manner = MANNERS.get(venue._line.id)
    if manner is None:
        look.warning(
            "driver", f"{venue._line.id} is not among {', '.join(MANNERS)}: coins only, without a ledger, and nobody has tried it here"
        )
    await _clock(look, venue)
    await _status(look, venue)
    contracts = _markets(look, venue, symbols)
    _methods(look, exchange.has, venue._manner, contracts=contracts)
    keys = _keys(venue)
    if not keys:
        look.warning("keys", "none was given: only what is public was looked at, and not whether an account may trade here")
    told = False
    for name, key in keys.items():
        subject = f"key {name}"
        if await _balances(look, venue, subject, key, tell=not told):
            await _rights(look, venue, subject, name, key)
            await _fees(look, venue, () if told else symbols, key)
            told = True
    if not told:
        _listed_fees(look, venue, symbols)
    return look.done(*isolation(venue._line.id))


def isolation(exchange: str) -> tuple[Isolation, ...]:
    """What keeps strategies apart at an exchange, by ccxt's id of it."""
    how, fails = SUB_ACCOUNTS.get(exchange, ("whether this exchange has them is not known here", ()))
    return virtual(), Isolation("sub-account", None, how, fails), CHAIN if exchange == "hyperliquid" else NO_CHAIN


async def _call(venue: Ccxt, method: str, *args: Any) -> Any:
    """A public question, of any ccxt method. Raises `VenueUnavailable`."""
    answer, trouble = await venue._line.call(method, *args)
    if trouble is not None:
        raise VenueUnavailable(trouble.text)
    return answer


async def _clock(look: Look, venue: Ccxt) -> None:
    if not venue._line.has("fetchTime"):
        look.note("clock", "the exchange does not tell its time")
        return
    before = venue._clock()
    told = await look.ask("clock", lambda: _call(venue, "fetch_time"), grade=Grade.WARNING)
    if type(told) is int:
        look.clock(ahead(before, told * MILLISECOND, venue._clock(), MILLISECOND))
    elif told is not None:
        look.warning("clock", f"the exchange tells {told!r}, which is no time")


async def _status(look: Look, venue: Ccxt) -> None:
    if not venue._line.has("fetchStatus"):
        return
    told = await look.ask("status", lambda: _call(venue, "fetch_status"), grade=Grade.WARNING)
    if isinstance(told, dict):
        status = str(told.get("status"))
        look.finds({"ok": Grade.GOOD, "maintenance": Grade.BAD, "shutdown": Grade.BAD}.get(status, Grade.WARNING), "status", status)


def _markets(look: Look, venue: Ccxt, symbols: Iterable[str]) -> bool:
    """Whether any of them is a contract."""
    contracts, named = False, False
    for symbol in symbols:
        named, subject = True, f"market {symbol}"
        try:
            market = venue.instrument(symbol)
        except (InvalidMarket, InvalidAmount) as error:
            look.bad(subject, str(error))
            continue
        contracts |= market.contract is not None
        active = venue._of_names().market(symbol).get("active")
        least = f"at least {market.min_qty} {market.base.code} and {market.min_notional} {market.quote.code}"
        steps = f"prices in steps of {market.tick} {market.quote.code}, quantities of {market.lot} {market.base.code}"
        text = "is not active: it takes no orders" if active is False else "active" if active else "whether it is active is not told"
        look.finds(Grade.BAD if active is False else Grade.GOOD, subject, f"{text}; {least}; {steps}")
    if not named:
        look.note("markets", "none was named, so none was looked at")
    return contracts


def _methods(look: Look, has: Mapping[str, Any], manner: Manner, *, contracts: bool) -> None:
    """What ccxt lacks of what the driver asks."""
    wanted = {**WANTED, **(OF_CONTRACTS if contracts else {}), **OF_LINES.get(manner.lines, {})}
    lacks = [(name, why) for table in (NEEDED, wanted) for name, why in table.items() if not has.get(name)]
    for name, why in lacks:
        look.finds(Grade.BAD if name in NEEDED else Grade.WARNING, "ccxt", f"has no {name} here: {why}")
    if not lacks:
        look.good("ccxt", "has all that the driver asks for here")


# -- keys ------------------------------------------------------------------------------------------------------------------

Key = Callable[[], AbstractAsyncContextManager[Held | None]]


def _keys(venue: Ccxt) -> dict[str, Key]:
    """The keys that there are, by name: those of the ring, or the object's own credentials."""
    ring = venue._ring
    if ring is not None:
        names = [row["key"] for row in ring.describe() if row["venue"] == venue._key_venue]
        return {name: partial(ring.probe, name) for name in names}
    exchange = venue._line.exchange
    own = all(getattr(exchange, name, None) for name, needed in exchange.requiredCredentials.items() if needed)
    return {"of the object": nullcontext} if own else {}


async def _ask(venue: Ccxt, key: Key, method: str, *args: Any) -> Any:
    """A private question with one key; what the exchange says of the key is told to the ring. Raises `VenueUnavailable`, `NoKey`."""
    async with key() as held:
        answer, trouble = await (venue._line.call(method, *args) if held is None else venue._held(held, method, *args))
    if trouble is not None:
        raise VenueUnavailable(trouble.text)
    return answer


async def _balances(look: Look, venue: Ccxt, subject: str, key: Key, *, tell: bool) -> bool:
    """Whether the key is answered; what the account holds is told once."""
    answer = await look.ask(subject, lambda: _ask(venue, key, "fetch_balance"))
    if not isinstance(answer, dict):
        return False
    look.good(subject, "the exchange knows it, and tells what the account holds")
    held = {code: value for code, value in dict(answer.get("total") or {}).items() if value is not None}
    if not tell:
        return True
    names, nothing = venue._of_names(), True
    for code, value in sorted(held.items()):
        what = f"wallet {code}"
        try:
            number, used = (exact(text or "0", f"balance of {code}") for text in (value, (answer.get("used") or {}).get(code)))
            coin = names.wallet(code)
            if not number and not used:
                continue
            nothing = False
            text = f"{_plain(number)}" + (f", {_plain(used)} of it held for orders" if used else "")
            if coin is None:
                look.note(what, f"{text}, not counted: no wallet that orders draw on")
            else:
                names.amount(coin, number, f"balance of {code}")
                look.finds(Grade.GOOD if coin == code else Grade.NOTE, what, f"{text}, counted as {coin}")
        except InvalidAmount as error:
            look.bad(what, str(error))
    if nothing:
        look.note("balances", "there is nothing in the account")
    return True


async def _rights(look: Look, venue: Ccxt, subject: str, name: str, key: Key) -> None:
    """What the key may do, as far as the exchange tells it."""
    exchange = venue._line.exchange
    if exchange.requiredCredentials.get("privateKey"):
        await _wallet_key(look, venue, subject, key)
        return
    asked, hint = RIGHTS.get(venue._line.id), "see at the exchange that it may not withdraw or transfer"
    if asked is None or not hasattr(exchange, asked.method):
        look.note(subject, f"what it may do is not told through ccxt: {hint}")
        return

    async def ask() -> tuple[Rights, frozenset[str]]:
        async with key() as held:  # a no to this question is not held against the key
            answer, trouble = await venue._line.call(asked.method, held=held)
        if trouble is not None:
            raise VenueUnavailable(trouble.text)
        return asked.rights(answer)

    found = await look.ask(f"{subject}, rights", ask, grade=Grade.WARNING, hint=hint)
    if found is None:
        return
    rights, words = found
    if venue._ring is not None:
        venue._ring.probed(name, rights)
    look.note(subject, f"it may {rights}")
    for right in (Right.WITHDRAW, Right.TRANSFER):
        if right in rights.granted:
            look.bad(subject, f"drop the right to {right}: it can send money out of the account")
    for word in sorted(rights.unknown):
        look.bad(subject, f"drop {word}: what that permits is not known here, so it is refused")
    for word in asked.needed:
        if word not in words:
            look.bad(subject, f"lacks {word}: the driver needs it")
    if Right.DEPOSIT in rights.granted:
        look.warning(subject, "drop the right to deposit: deposits are made by hand")
    for text in check_rights(Rights(frozenset({Right.READ}), addresses=rights.addresses)):
        look.warning(subject, text)


async def _wallet_key(look: Look, venue: Ccxt, subject: str, key: Key) -> None:
    """Whether a key that signs is the wallet's own, which can send everything away, or one that the wallet lets trade."""
    exchange = venue._line.exchange
    if not hasattr(exchange, "eth_get_address_from_private_key"):
        look.note(subject, "whether it is the wallet's own key is not told: use an API wallet, which may trade and not withdraw")
        return

    def address(held: Held | None) -> tuple[str, str]:
        with venue._line._busy:
            if held is None:
                return str(exchange.walletAddress), str(exchange.eth_get_address_from_private_key(exchange.privateKey))
            return held.api_key.reveal(), str(exchange.eth_get_address_from_private_key(held.secret.reveal()))

    async with key() as held:
        try:
            wallet, signs = await anyio.to_thread.run_sync(address, held)
        except Exception as error:  # of whatever the library signs with; its text may have the key in it
            look.warning(subject, f"whose private key it is could not be worked out: {type(error).__name__}")
            return
    if wallet.lower() == signs.lower():
        look.bad(subject, "it is the wallet's own private key, which can send everything away: use an API wallet, which may only trade")
    else:
        look.good(subject, "it is not the wallet's own private key: an API wallet may trade, and not withdraw")


async def _fees(look: Look, venue: Ccxt, symbols: Iterable[str], key: Key) -> None:
    """What the account pays in each market, where the exchange tells it."""
    for symbol in symbols:
        if symbol not in venue._of_names():
            continue
        if venue._line.has("fetchTradingFee"):
            told = await look.ask("fees", lambda symbol=symbol: _ask(venue, key, "fetch_trading_fee", symbol), grade=Grade.WARNING)  # type: ignore[misc]
            if isinstance(told, dict):
                _fee(look, symbol, told, "as the exchange tells for this account")
        else:
            _listed_fees(look, venue, [symbol])


def _listed_fees(look: Look, venue: Ccxt, symbols: Iterable[str]) -> None:
    for symbol in symbols:
        if symbol in venue._of_names():
            _fee(look, symbol, venue._of_names().market(symbol), "by ccxt's own table, which may be out of date, and is not the account's")


def _fee(look: Look, symbol: str, told: Mapping[str, Any], whose: str) -> None:
    try:
        maker, taker = (seen(told.get(what), f"{what} fee of {symbol}") * 100 for what in ("maker", "taker"))
    except InvalidAmount:
        look.warning("fees", f"{symbol}: they are not told")
        return
    own = "account" in whose and "not the" not in whose
    text = f"{symbol}: maker {_plain(maker)} %, taker {_plain(taker)} %, {whose}; in and out at market costs {_plain(taker * 2)} %"
    look.finds(Grade.GOOD if own else Grade.NOTE, "fees", text)


def _plain(number: Decimal) -> str:
    return format(number.normalize() + 0 if number else Decimal(0), "f")
