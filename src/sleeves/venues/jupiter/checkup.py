"""A look at a wallet on Solana, its node, Jupiter and a block engine, before money is trusted to them.

    async with Rpc(url) as rpc, JupiterApi() as api:
        print(await checkup(rpc, wallet, api=api))

It only asks, and needs no key: a wallet is looked at by its address. What is not answered is a finding, in the words of whoever
was asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ...errors import InvalidMarket
from ...money import decimal_text
from ..checkup import Checkup, Grade, Isolation, Look, virtual
from ..jito import Jito
from ..solana import SYSTEM, Mint, Rpc, ata
from ..solana.looks import look_at_node, look_at_powers
from ..solana.written import address
from .client import FREE_PER_SECOND, KEYLESS_PER_SECOND, JupiterApi
from .driver import Jupiter
from .markets import TOKENS

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

__all__ = ["ISOLATION", "LEAST_SOL", "checkup"]

LEAST_SOL = 20_000_000
"""Lamports below which a wallet soon cannot pay: some 0.002 SOL of rent for each new token account, and the fees and tips."""
_SOL_PLACES = 9

ISOLATION = (
    virtual("each sleeve is a slice of this wallet in the books of sleeves; the chain knows of none"),
    Isolation(
        "sub-account",
        False,
        "a wallet has none; a second wallet with a key, and SOL, of its own does that",
        ("a wallet's key is lost: nobody can replace it", "money has to move in time: from one wallet to another it is a transaction"),
    ),
    Isolation("on-chain", False, "swaps have no account; venues for contracts on this chain have one for each strategy (not this driver)"),
)
"""What keeps strategies apart in a wallet."""


async def checkup(
    of: Jupiter | Rpc,
    wallet: str | None = None,
    *,
    api: JupiterApi | None = None,
    jito: Jito | None = None,
    dexes: Iterable[str] = (),
    moving_within: float = 5.0,
    name: str = "jupiter",
    clock: Callable[[], int] = time.time_ns,
) -> Checkup:
    """Look at a node, a wallet, Jupiter and a block engine, as far as they are handed in; of a driver that is open, at its own.

    `dexes` are labels that shall be swapped on. The block height has to rise within `moving_within` seconds. Raises
    `InvalidMarket` for an address that is none, and nothing for what the other side does: that is a finding.
    """
    labels = list(dexes)
    if isinstance(of, Jupiter):
        name, api, jito, clock = of.name, api or of._api, jito or of._jito, of._clock
        wallet = of.wallet if wallet is None else wallet
        labels += [label for market in of.markets for label in market.dexes]
        of = of._rpc
    look = Look(name)
    at = None if wallet is None else address(wallet)
    if await look_at_node(look, of, clock, moving_within):
        if at is None:
            look.warning("wallet", "none was named: whether it can pay was not looked at")
        else:
            await _wallet(look, of, at)
    await _jupiter(look, api, list(dict.fromkeys(labels)))
    if jito is None:
        look.note("jito", "no block engine was handed in: transactions go through the node, for everybody to see")
    else:
        await _jito(look, jito)
    return look.done(*ISOLATION)


# -- the wallet ------------------------------------------------------------------------------------------------------------


async def _wallet(look: Look, rpc: Rpc, wallet: Pubkey) -> None:
    async def ask() -> tuple[bool, int]:
        account = await rpc.account(wallet)
        return account is None or account.owner == SYSTEM, 0 if account is None else account.lamports

    found = await look.ask("wallet", ask)
    if found is None:
        return
    plain, lamports = found
    if not plain:
        look.bad("wallet", f"{wallet} is no wallet: it belongs to a program")
        return
    text = f"{decimal_text(lamports, _SOL_PLACES)} SOL"
    if not lamports:
        look.bad("wallet", f"{wallet} does not exist: nothing was ever sent there, so it can pay no fee")
    elif lamports < LEAST_SOL:
        least = decimal_text(LEAST_SOL, _SOL_PLACES).rstrip("0")
        look.warning("wallet", f"{text}: less than {least} SOL is soon used up by rent, fees and tips")
    else:
        look.good("wallet", f"{text}, fees and rent are paid from it")
    await _tokens(look, rpc, wallet)


async def _tokens(look: Look, rpc: Rpc, wallet: Pubkey) -> None:
    """The token accounts, and who besides the wallet can move what is in them."""
    accounts = await look.ask("tokens", lambda: rpc.token_accounts(wallet))
    if not accounts:
        return
    known = {token.mint: code for code, token in TOKENS.items()}
    wanted = sorted({one.mint for one in accounts}, key=bytes)
    found = await look.ask("tokens", lambda: rpc.accounts(wanted), grade=Grade.WARNING)
    mints: dict[Pubkey, Mint] = {}
    for account in () if found is None else found.values:
        try:
            mints |= {} if account is None else {account.address: Mint.decode(account)}
        except InvalidMarket as error:
            look.warning("tokens", str(error))
    for one in accounts:
        subject = f"token {known.get(str(one.mint), str(one.mint))}"
        mint = mints.get(one.mint)
        amount = f"{one.amount} raw units" if mint is None else decimal_text(one.amount, mint.decimals)
        frozen_by = "" if mint is None or mint.freeze_authority is None else "; its issuer can freeze it"
        main = ata(wallet, one.mint, one.program)
        aside = "" if one.address == main else f", in {one.address}, which is not the account that swaps use"
        look.finds(Grade.NOTE if aside else Grade.GOOD, subject, f"{amount}{aside}{frozen_by}")
        look_at_powers(look, subject, one, wallet)


# -- Jupiter and Jito ------------------------------------------------------------------------------------------------------


async def _jupiter(look: Look, api: JupiterApi | None, dexes: list[str]) -> None:
    if api is None:
        look.note("jupiter", "its interface was not handed in, so it was not asked")
        return
    labels = await look.ask("jupiter", api.labels)
    if labels is None:
        return
    known = sorted(set(labels.values()))
    left = "" if api.remaining is None else f"; {api.remaining} calls are left in its window"
    look.good("jupiter", f"is reached, and knows {len(known)} DEXes{left}")
    if api._key is None:
        look.note("jupiter", f"no key: {KEYLESS_PER_SECOND:g} calls a second, and a round of quotes takes two for each market")
    else:
        look.good("jupiter", f"the key is taken: {FREE_PER_SECOND:g} call a second on a free plan, more on others")
    for label in dexes:
        if label in known:
            look.good(f"DEX {label}", "Jupiter knows it by this name")
        else:
            near = get_close_matches(label, known, n=3, cutoff=0.4)
            look.bad(f"DEX {label}", "Jupiter knows none of this name" + (f"; there are {', '.join(near)}" if near else ""))


async def _jito(look: Look, jito: Jito) -> None:
    accounts = await look.ask("jito", jito.tip_accounts, grade=Grade.WARNING, hint="transactions go through the node then")
    if accounts is not None:
        look.good("jito", f"the block engine is reached, and has {len(accounts)} tip accounts")
    floor = await look.ask("jito", jito.tip_floor, grade=Grade.WARNING)
    if floor is not None:
        look.note(
            "jito", f"of the bundles that landed lately half paid {floor.lamports(50)} lamports or more, one in twenty {floor.lamports(95)}"
        )
