"""The guard's rule for the program: which of its instructions our key may sign, on whose accounts, and with which words.

A key that trades for us signs only what is listed here. Each instruction is known by its first eight bytes, must have the data
that it has, and must name our own accounts at the places where the program looks for them: our sub-accounts, our authority, the
exchange's own State, vault and signer, our own token account. A withdrawal must say reduce-only, so that it opens no borrowing.
What is not listed is refused: administration, swaps, borrowing, a transfer to others, a new delegate.

    owner       trades, creates sub-accounts, deposits, withdraws, moves between its own sub-accounts
    delegate    trades, cancels, settles, and nothing else

What an allowed instruction moves is not judged here but by the run before the signature (`solana.guard`). It asks nobody.
Source of the places: the programs' account lists (Drift 2.162, Velocity 2.165), as `instructions` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import sha256

from attrs import frozen
from solders.pubkey import Pubkey

from ..solana import Decoded, Instruction, Rule, ata
from ..solana.addresses import TOKEN, TOKEN_2022
from .deployment import Deployment

__all__ = ["Fence", "tag_of"]


def tag_of(name: str) -> bytes:
    """The first eight bytes of an instruction's data: those of the hash of its name."""
    return sha256(f"global:{name}".encode()).digest()[:8]


@frozen(order=False)
class _Known:
    """One instruction: what stands at which place, how long its data is, and whether a delegate may sign it."""

    name: str
    places: tuple[str, ...]
    least: int
    most: int
    delegate: bool = False
    sub: int | None = None
    """At which byte a sub-account's number stands."""


_TRADE = ("state", "user", "signer")
_KNOWN = {
    tag_of(one.name): one
    for one in (
        _Known("initialize_user_stats", ("stats", "state", "authority", "signer"), 8, 8),
        _Known("initialize_user", ("user", "stats", "state", "authority", "signer"), 42, 42, sub=8),
        _Known("deposit", ("state", "user", "stats", "signer", "vault", "tokens"), 19, 19),
        _Known("withdraw", ("state", "user", "stats", "signer", "vault", "vaults", "tokens"), 19, 19),
        _Known("transfer_deposit", ("user", "user", "stats", "signer", "state", "vault"), 18, 18),
        _Known("place_perp_order", _TRADE, 8 + 32, 8 + 120, delegate=True),
        _Known("place_orders", _TRADE, 8 + 4, 8 + 4 + 32 * 120, delegate=True),
        _Known("cancel_order", _TRADE, 9, 13, delegate=True),
        _Known("cancel_order_by_user_id", _TRADE, 9, 9, delegate=True),
        _Known("cancel_orders", _TRADE, 11, 15, delegate=True),
        _Known("settle_pnl", ("state", "user", "signer", "quote vault"), 10, 10, delegate=True),
        _Known("update_spot_market_cumulative_interest", ("state",), 8, 8, delegate=True),
        _Known("refresh_spot_market_interest", ("state",), 14, 8 + 4 + 2 * 16, delegate=True),
        _Known("delete_user", ("user", "stats", "state", "signer"), 8, 8),
    )
}


class Fence:
    """What one key may ask of one deployment's program. `rule` is for `solana.Guard`'s `programs`.

    `authority` owns the sub-accounts numbered `accounts`; `signer` is the key, the authority's own or a delegate's. `mints` are the
    mints of the coins that may be moved in and out, by the number of their spot market, with their token program.
    """

    def __init__(
        self,
        deployment: Deployment,
        authority: str,
        signer: str,
        accounts: Iterable[int],
        mints: Mapping[int, tuple[str, bool]],
    ) -> None:
        self.deployment = deployment
        self.authority, self.signer = authority, signer
        self._users = {deployment.user(authority, sub): sub for sub in accounts}
        self._mints = dict(mints)
        self._of: Mapping[str, Callable[[], Collection[str]]] = {
            "state": lambda: (deployment.state(),),
            "stats": lambda: (deployment.user_stats(authority),),
            "authority": lambda: (authority,),
            "signer": lambda: (signer,),
            "user": lambda: self._users,
            "vaults": lambda: (deployment.signer(),),
            "quote vault": lambda: (deployment.spot_vault(deployment.quote.market),),
        }

    @property
    def rule(self) -> Rule:
        """Why an instruction of the program is refused, or None."""
        return self._judge

    def _judge(self, one: Instruction, decoded: Decoded) -> str | None:  # noqa: ARG002 one instruction at a time is enough here
        known = _KNOWN.get(one.data[:8])
        if known is None:
            return f"an instruction that begins with {one.data[:8].hex() or 'nothing'} is none that this key signs"
        if not known.least <= len(one.data) <= known.most:
            return f"{known.name} has {known.least} to {known.most} bytes, not {len(one.data)}"
        if self.signer != self.authority and not known.delegate:
            return f"{known.name} is for the authority's own key, and {self.signer} is a delegate of {self.authority}"
        if len(one.accounts) < len(known.places):
            return f"{known.name} names {len(one.accounts)} accounts, and needs {len(known.places)}"
        market = int.from_bytes(one.data[8:10], "little")
        for place, what in enumerate(known.places):
            key = str(one.accounts[place].address)
            wanted = self._wanted(what, market)
            if key not in wanted:
                return f"{known.name} has {key} where {what} of ours stands"
        if known.sub is not None:
            sub = int.from_bytes(one.data[known.sub : known.sub + 2], "little")
            if self._users.get(str(one.accounts[0].address)) != sub:
                return f"{known.name} is for sub-account {sub}, and its address is that of another"
        if known.name == "transfer_deposit" and one.accounts[0].address == one.accounts[1].address:
            return "transfer_deposit is from a sub-account to itself"
        if known.name == "withdraw" and one.data[18] != 1:
            return "a withdrawal that is not reduce-only may open a borrowing"
        if known.name in ("deposit", "withdraw", "transfer_deposit") and market not in self._mints:
            return f"{known.name} is of spot market {market}, which is none of those that are moved here"
        others = [str(key.address) for key in one.accounts if key.signer and str(key.address) != self.signer]
        return f"{known.name} would be signed by {', '.join(others)} too" if others else None

    def _wanted(self, what: str, market: int) -> Collection[str]:
        """The addresses that may stand at a place."""
        if what == "vault":
            return (self.deployment.spot_vault(market),)
        if what == "tokens":
            if market not in self._mints:
                return ()
            mint, newer = self._mints[market]
            return (str(ata(Pubkey.from_string(self.authority), Pubkey.from_string(mint), TOKEN_2022 if newer else TOKEN)),)
        return self._of[what]()
