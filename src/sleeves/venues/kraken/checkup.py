"""A look at an account at Kraken and at the keys to it, before money is trusted to them.

    async with Client(keys) as client:
        print(await checkup(client, ["ETH/USD"]))

It only asks. The one call that looks like an order is `AddOrder` with `validate=true`, by which Kraken checks an order and places
none: it shows that the key and the account may trade. Each key is asked by itself, stays whose it was, and what Kraken says of
its permissions is told to the ring. What is not answered is a finding, in Kraken's words.

It places, cancels and books nothing, with one exception: an order that a server placed although it was only to check it is
canceled again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from ...errors import InvalidAmount, InvalidMarket, SleevesError, VenueError
from ...keys import Health, KeyRing, KeysError, Right, Rights, check_rights
from ...keys.sets import EXPIRY_DAYS, span
from ...market import DAY, SECOND
from ...money import PPM, Rounding, decimal_text
from ..checkup import Checkup, Grade, Isolation, Look, ahead, virtual
from .client import NO_TIER, PERMISSIONS, Client, Rate
from .driver import Kraken
from .faults import Kind, KrakenRejected
from .names import WALLETS, Names, Pair

__all__ = ["ISOLATION", "NEEDED", "checkup"]

NEEDED: Mapping[str, str] = {
    "query-funds": "balances and fees cannot be asked",
    "query-open-trades": "an order whose answer was lost cannot be looked for",
    "query-closed-trades": "fills, and orders that are done, cannot be asked",
    "query-ledger": "the ledger, which is the truth about money, cannot be read",
    "modify-trades": "it cannot trade",
    "create-ws-token": "the private socket, which tells of orders and fills, stays shut",
}
"""What a key needs for the driver, in Kraken's words, and what fails without it."""

DROP: Mapping[str, str] = {
    "withdraw-funds": "it can send money out of the account",
    "add-withdraw-address": "it can write addresses to withdraw to",
    "update-withdraw-address": "it can change addresses to withdraw to",
}
"""What no trading key may have."""

NEEDLESS: Mapping[str, str] = {
    "add-funds": "deposits are made by hand",
    "earn-funds": "it can put coins away where orders cannot draw on them",
}
"""What does nothing for the driver, and is better not there."""

SYSTEM: Mapping[str, tuple[Grade, str]] = {
    "online": (Grade.GOOD, "online"),
    "post_only": (Grade.WARNING, "post_only: it takes no order that trades at once"),
    "limit_only": (Grade.WARNING, "limit_only: it takes no order at market"),
    "reduce_only": (Grade.WARNING, "reduce_only: it takes no new risk"),
    "cancel_only": (Grade.BAD, "cancel_only: it takes no orders"),
    "maintenance": (Grade.BAD, "maintenance: it takes no orders, and may forget the dead-man switch"),
}
"""What a status, of Kraken or of a pair, means here."""

HINTS: Mapping[Health, str] = {
    Health.DEAD: "the key or its secret is wrong, or it was revoked: repeats lock the account, so mend it before the next call",
    Health.LOCKED: "ask nothing with any key of the account for 15 minutes: each call makes it longer",
    Health.SUSPECT: "another program uses this key, or has used it with higher nonces: one key for one program",
    Health.COOLING: "too many calls: wait a minute",
    Health.DENIED: "the key lacks a permission for this",
}

ISOLATION = (
    virtual(),
    Isolation(
        "sub-account",
        None,
        "at Kraken spot they are for institutional clients, set up by Kraken; no call tells whether this account has any",
        (
            "the keys are mixed up: each sub-account has keys of its own, and a sleeve must be given the right one",
            "money has to move in time: a transfer needs a key of the master account that may withdraw, which no trading key should",
            "one of them trades too fast: all share one limit of orders (EOrder:Domain rate limit exceeded), and another key does not help",
            "Kraken locks the master account, by which all of them are linked",
        ),
    ),
    Isolation("on-chain", False, "Kraken holds the coins: there is no account on a chain that one strategy could have"),
)
"""What keeps strategies apart at Kraken spot. Source: Kraken's own pages on sub-accounts and on transfers between them."""


async def checkup(of: Kraken | Client, pairs: Iterable[str] | None = None, *, validate: bool = True) -> Checkup:
    """Look at Kraken, at these pairs, and at each key of the ring. Asks as `of` does, a driver that is open or a client.

    Without `pairs` they are the driver's markets, and none for a client; without keys only what is public is looked at, and that
    is a finding. With `validate` an order is checked by Kraken, with each key that may trade, and not placed. Raises nothing for
    what the other side does: that is a finding.
    """
    client = of.client if isinstance(of, Kraken) else of
    wanted = tuple(of.instruments if isinstance(of, Kraken) else ()) if pairs is None else tuple(pairs)
    look = Look(client.venue, client.ring.hide if client.ring is not None else str)
    if await _reached(look, client):
        online = await _system(look, client)
        names = await look.ask("markets", client.names)
        listed = [] if names is None else _pairs(look, names, wanted)
        await _keys(look, client, names, listed, validate=validate and online)
        tier = client.tier
        look.note(
            "limits",
            "no limits of ours: whatever Kraken's are, they are met"
            if tier is NO_TIER
            else f"taken for tier {tier.name}, which Kraken does not tell: {tier.rest_max:g} calls and {tier.rest_decay:g} more a second, "
            f"{tier.engine_max:g} in orders of a pair and {tier.engine_decay:g} more a second, {tier.open_orders} open orders of a pair",
        )
    return look.done(*ISOLATION)


# -- what everybody may ask ------------------------------------------------------------------------------------------------


async def _reached(look: Look, client: Client) -> bool:
    """Whether it answers at all, and what its clock says."""
    before = client.clock()
    told = await look.ask("reached", client.time, hint="nothing else was asked")
    if told is None:
        return False
    look.clock(ahead(before, told, client.clock(), SECOND))
    return True


async def _system(look: Look, client: Client) -> bool:
    status = await look.ask("status", client.status)
    if status is not None:
        look.finds(*_status(status, "status"))
    return status == "online"


def _status(status: str, subject: str) -> tuple[Grade, str, str]:
    grade, text = SYSTEM.get(status, (Grade.WARNING, f"{status!r}, which is not known here"))
    return grade, subject, text


def _pairs(look: Look, names: Names, wanted: Sequence[str]) -> list[Pair]:
    """Those of the pairs that can be traded here."""
    if not wanted:
        look.note("pairs", "none was named, so none was looked at")
    found = []
    for name in wanted:
        subject = f"pair {name}"
        try:
            pair = names.pair(name)
            market = pair.instrument
        except InvalidMarket as error:
            look.bad(subject, str(error))
            continue
        if name != pair.symbol:
            look.note(subject, f"is called {pair.symbol} by the driver")
        grade, _, text = _status(pair.status, subject)
        least = f"at least {market.min_qty} {market.base.code} and {market.min_notional} {market.quote.code}"
        steps = f"prices in steps of {market.tick} {market.quote.code}, quantities of {market.lot} {market.base.code}"
        look.finds(grade, subject, f"{text}; {least}; {steps}")
        found.append(pair)
    return found


# -- keys ------------------------------------------------------------------------------------------------------------------


async def _keys(look: Look, client: Client, names: Names | None, pairs: Sequence[Pair], *, validate: bool) -> None:
    rows = [] if client.ring is None else [row for row in client.ring.describe() if row["venue"] == client.venue]
    if client.ring is None or not rows:
        look.warning("keys", "none was given: only what is public was looked at, and not whether an account may trade here")
        return
    readers: dict[str, tuple[str, frozenset[str] | None]] = {}
    for row in rows:
        key, subject = row["key"], f"key {row['key']}"
        answered, may = await _key(look, client.by(key), client.ring, key, subject)
        if answered:
            readers.setdefault(row["account"], (key, may))
        if may is not None and "modify-trades" in may and validate and pairs:
            await _try_an_order(look, client.by(key), subject, pairs[0])
    if not readers:
        look.bad("account", "balances and fees were not asked: no key may")
    for account, (key, may) in readers.items():
        where = f" of account {account}" if account else ""
        await _account(look, client.by(key), names, pairs, may, where)


async def _key(look: Look, client: Client, ring: KeyRing, key: str, subject: str) -> tuple[bool, frozenset[str] | None]:
    """Whether more can be asked with a key, and what it may do in Kraken's words, None where that is not known. The ring is told."""
    try:
        info = await client.api_key_info("")
    except (VenueError, KeysError) as error:
        hint = HINTS.get(ring.health(key))
        look.bad(subject, f"what it may do could not be asked: {error}" + (f"; {hint}" if hint else ""))
        return ring.health(key, Right.READ) is Health.HEALTHY, None
    words, addresses = _texts(info.get("permissions")), _texts(info.get("ipAllowlist"))
    rights = None if words is None else Rights.of(*words, addresses=addresses, means=PERMISSIONS)
    ring.probed(key, rights)
    name = info.get("apiKeyName")
    named = f", {name!r} at Kraken" if isinstance(name, str) and name else ""
    if words is None or rights is None:
        look.bad(subject, f"Kraken knows it{named}, and does not say what it may do")
        return True, None
    held = frozenset(words)
    look.good(subject, f"Kraken knows it{named}; it may {', '.join(sorted(held)) or 'nothing'}")
    for word in sorted(held & DROP.keys()):
        look.bad(subject, f"drop {word}: {DROP[word]}")
    for word in sorted(held & NEEDLESS.keys()):
        look.warning(subject, f"drop {word}: {NEEDLESS[word]}")
    for word in sorted(rights.unknown):
        look.bad(subject, f"drop {word}: what that permits is not known here, so it is refused")
    for word, why in NEEDED.items():
        if word not in held:
            look.bad(subject, f"lacks {word}: {why}")
    _restrictions(look, subject, info, rights, client.clock())
    return True, held


def _restrictions(look: Look, subject: str, info: Mapping[str, Any], rights: Rights, now: int) -> None:
    """From where, how long and for which time the key is good, and whether its nonces are in order."""
    texts = check_rights(Rights(frozenset({Right.READ}), addresses=rights.addresses))
    for text in texts:
        look.warning(subject, f"{text}: set its list of IP addresses at Kraken")
    if not texts:
        look.good(subject, f"it works from {', '.join(rights.addresses or ())} alone")
    window = _number(info.get("nonceWindow"))
    if window:
        look.warning(subject, f"its nonce window is {window}: a request that is repeated can be taken twice; set it to 0")
    elif window is None:
        look.warning(subject, f"its nonce window is {info.get('nonceWindow')!r}, which is no number")
    ends, first, last = (_number(info.get(name, "0")) for name in ("validUntil", "queryFrom", "queryTo"))
    if ends:
        left = ends * SECOND - now
        text = f"it expires in {span(left)}: have a new one before" if left > 0 else f"it expired {span(-left)} ago: make a new one"
        look.finds(Grade.BAD if left <= 0 else Grade.WARNING if left <= max(EXPIRY_DAYS) * DAY else Grade.NOTE, subject, text)
    if first:
        look.warning(subject, "it sees no history from before a date (queryFrom): books that begin earlier cannot be checked against it")
    if last:
        over = ", which is over" if last * SECOND <= now else ""
        look.finds(Grade.BAD if over else Grade.WARNING, subject, f"it sees no history from after a date (queryTo){over}")


async def _try_an_order(look: Look, client: Client, subject: str, pair: Pair) -> None:
    """Have Kraken check the smallest order at half the price, and place none."""
    market = pair.instrument
    try:
        tickers = await client.ticker(pair.altname)
        args = _smallest(pair, next((ticker.bid for ticker in tickers.values()), Decimal(0)))
        added = await client.add_order("", args)
    except KrakenRejected as error:
        if any("Insufficient funds" in fault.text for fault in error.faults):
            look.note(subject, f"it may trade; the account has not enough {market.quote.code} for the smallest order of {market}")
        else:
            look.warning(subject, f"an order of {market} that was only to be checked is refused: {error}")
        return
    except (VenueError, KeysError) as error:
        denied = Kind.PERMISSION in getattr(error, "kinds", ())
        look.finds(Grade.BAD if denied else Grade.WARNING, subject, f"an order of {market} could not be checked: {error}")
        return
    if not added.txids:
        look.good(subject, f"it may trade: an order of {market} was checked, and not placed ({added.description})")
    for txid in added.txids:
        look.bad(subject, f"an order that was only to be checked was placed: {txid}, {added.description}")
        if await look.ask(subject, lambda txid=txid: client.cancel_order("", txid=txid), hint="cancel it by hand") is not None:  # type: ignore[misc]
            look.note(subject, f"{txid} was canceled again")


def _smallest(pair: Pair, bid: Decimal) -> dict[str, str]:
    """The smallest buy at half the bid, post-only, to be checked alone."""
    market = pair.instrument
    price = market.tick_units
    with suppress(SleevesError):  # a price that is none, or too small: one tick
        price = max(price, market.round_price(bid / 2, Rounding.FLOOR))
    qty = max(market.min_qty_units, market.lot_units)
    while market.cost(price, qty, Rounding.FLOOR) < market.min_notional_units:
        qty *= 2
    return {
        "pair": pair.altname,
        "type": "buy",
        "ordertype": "limit",
        "price": market.price_text(price),
        "volume": decimal_text(-(-qty // market.lot_units) * market.lot_units, market.base.scale),
        "oflags": "fciq,post",
        "validate": "true",
    }


# -- the account -----------------------------------------------------------------------------------------------------------


async def _account(look: Look, client: Client, names: Names | None, pairs: Sequence[Pair], may: frozenset[str] | None, where: str) -> None:
    """What the account holds, pays and has open. What the key may not ask is not asked: its refusal would be held against the key."""
    if may is None or "query-funds" in may:
        await _wallets(look, client, names, where)
        await _fees(look, client, pairs, where)
    if may is None or "query-open-trades" in may:
        orders = await look.ask(f"orders{where}", lambda: client.open_orders(""))
        if orders:
            verb = "is" if len(orders) == 1 else "are"
            look.note(f"orders{where}", f"{len(orders)} {verb} open: the driver's dead-man switch is the whole account's, and cancels all")


async def _wallets(look: Look, client: Client, names: Names | None, where: str) -> None:
    rows = await look.ask(f"balances{where}", lambda: client.balance_ex(""))
    if rows is None:
        return
    held = {name: row for name, row in rows.items() if row.balance or row.hold or row.credit}
    if not held:
        look.note(f"balances{where}", "there is nothing in the account")
    for name, row in sorted(held.items()):
        subject = f"wallet {name}{where}"
        aside = f", {_plain(row.hold)} of it held for orders" if row.hold else ""
        aside += f", and credit of {_plain(row.credit)} that is not counted" if row.credit else ""
        if names is None:
            look.note(subject, f"{_plain(row.balance)}{aside}")
            continue
        try:
            wallet = names.wallet(name)
            names.amount(name, row.balance)
        except (InvalidMarket, InvalidAmount) as error:
            look.bad(subject, f"{_plain(row.balance)}{aside}: {error}")
            continue
        code = wallet.asset.code
        text = f"{_plain(row.balance)} {code}{aside}"
        if wallet.tradeable:
            look.good(subject, f"{text}, counted, to be traded")
        elif wallet.counted:
            look.note(subject, f"{text}, counted: it {WALLETS[wallet.suffix]}, and orders of {code} draw on it")
        elif wallet.suffix in WALLETS:
            look.note(subject, f"{text}, not counted and not to be traded: {WALLETS[wallet.suffix]}")
        else:
            look.warning(subject, f"{text}, not counted: the suffix {wallet.suffix!r} is not known here")


async def _fees(look: Look, client: Client, pairs: Sequence[Pair], where: str) -> None:
    subject = f"fees{where}"
    volume = await look.ask(subject, lambda: client.trade_volume("", *(pair.altname for pair in pairs)), grade=Grade.WARNING)
    if volume is None:
        return
    look.note(subject, f"the volume of 30 days is {_plain(volume.volume)} {volume.currency.removeprefix('Z')}")
    for pair in pairs:
        rate = volume.rates.get(pair.id) or volume.rates.get(pair.altname)
        if rate is None:
            look.warning(subject, f"{pair.symbol}: Kraken does not tell them")
            continue
        look.good(
            subject,
            f"{pair.symbol}: maker {_plain(rate.maker)} %, taker {_plain(rate.taker)} %{_listed(pair, rate)}; "
            f"in and out at market costs {_plain(rate.taker * 2)} %",
        )


def _listed(pair: Pair, rate: Rate) -> str:
    """How the account's fees stand to what the pair's list begins with."""
    if pair.maker_ppm is None or pair.taker_ppm is None:
        return ""
    maker, taker = (Decimal(ppm) * 100 / PPM for ppm in (pair.maker_ppm, pair.taker_ppm))
    same = (maker, taker) == (rate.maker, rate.taker)
    return " (the list's first row)" if same else f" (the list begins with {_plain(maker)} and {_plain(taker)})"


# -- reading ---------------------------------------------------------------------------------------------------------------


def _texts(value: object) -> tuple[str, ...] | None:
    """A list of words; None for anything else."""
    return tuple(value) if isinstance(value, list) and all(isinstance(word, str) for word in value) else None


def _number(value: object) -> int | None:
    """A whole number, or text of one; None for what is none."""
    if type(value) is int:
        return value
    if value is None or value == "":
        return 0
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20 else None


def _plain(number: Decimal) -> str:
    """A figure without the zeros at its end."""
    return format(number.normalize() + 0 if number else Decimal(0), "f")
