"""Coins on their way into and out of a venue's account: asked for by a human, booked when the venue says so.

A withdrawal takes idle coins out of everybody's reach first, so that nobody is given what is leaving; a deposit changes
nothing until it is there. What the venue refuses is as it was before.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import VaultError
from .exposure import without
from .facts import Transferred, TransferRefused
from .margin import MarginAccount, health_bp
from .money import Amount, AmountLike, decimal_text
from .orders import Transfer
from .records import Asked
from .shares import client_named
from .vault import CoreVault

__all__ = ["Transfers", "check_whose"]


class Transfers:
    """The transfers of a desk's vaults."""

    def __init__(self, vaults: Sequence[CoreVault]) -> None:
        self._vaults = vaults
        self._asked: dict[str, CoreVault] = {}
        self._counter = 0
        state = vaults[0].books.state
        if state is not None:
            owners = {vault.owner: vault for vault in vaults}
            self._asked = {name: owners[owner] for name, owner in state.asked.items() if owner in owners}
            self._counter = state.transfers

    def deposit(self, vault: CoreVault, amount: AmountLike, venue: str, *, by: str, client: str = "", at: int | None) -> Transfer:
        """Raises `VaultError` for an amount that is not positive, for a venue that is not the vault's, and for a client with no name."""
        coins = vault.asset(amount)
        if coins.units <= 0:
            raise VaultError(f"deposit {coins}: the amount must be positive")
        check_whose(vault, client)
        transfer = self._next(vault, coins, self._venue(vault, venue), client)
        vault.books.record(Asked(vault.books.time(at), by, vault.owner, transfer))
        self._ask(vault, transfer)
        vault.expect(transfer.id, coins.units)
        return transfer

    def withdraw(
        self,
        vault: CoreVault,
        amount: AmountLike,
        joints: Sequence[MarginAccount | None],
        venue: str,
        least_health: int,
        *,
        by: str,
        why: str,
        client: str = "",
        at: int | None,
    ) -> Transfer:
        """Raises `NotEnough` beyond the idle coins, `VaultError` for health that would fall too low or is not known, and for a
        venue that is not the vault's.
        """
        coins = vault.asset(amount)
        if type(least_health) is not int or not 0 <= least_health <= 100:
            raise VaultError(f"least_health {least_health!r} must be a whole number from 0 to 100")
        if coins.units <= 0:
            raise VaultError(f"withdraw {coins}: the amount must be positive")
        vault.check_sendable(coins, client)
        for joint in joints:
            if joint is None:
                raise VaultError(f"withdraw {coins}: a contract or collateral has no fresh price, so its health is not known")
            after = health_bp(without(joint, coins))
            if joint.contracts and after < least_health * 100:
                now = decimal_text(health_bp(joint), 2)
                raise VaultError(f"withdraw {coins}: health would go from {now} to {decimal_text(after, 2)}, below {least_health}")
        transfer = self._next(vault, -coins, self._venue(vault, venue), client)
        at = vault.books.time(at)
        vault.send(coins, transfer.id, by=by, why=why, at=at, after=[Asked(at, by, vault.owner, transfer)])
        self._ask(vault, transfer)
        return transfer

    def _venue(self, vault: CoreVault, venue: str) -> str:
        """Where a vault's coins come in and leave: with several wallets that is the venue that its wallet is named after."""
        if len({one.wallet for one in self._vaults}) == 1:
            return venue
        if venue not in ("", vault.wallet):
            raise VaultError(f"{venue} holds no coins of {vault.owner}: with several wallets each bears the name of its venue")
        return vault.wallet

    def _next(self, vault: CoreVault, amount: Amount, venue: str, client: str) -> Transfer:
        """The next transfer; the money of a client bears the client's name in its id, so that it is known after any crash."""
        whose = f":{client_named(client)}" if client else ""
        return Transfer(f"{vault.wallet}-transfer-{self._counter + 1}{whose}", amount, venue)

    def number(self, vault: CoreVault) -> str:
        """An id that no other transfer ever has, for one within the account."""
        self._counter += 1
        return f"{vault.wallet}-transfer-{self._counter}"

    def _ask(self, vault: CoreVault, transfer: Transfer) -> None:
        self._counter += 1
        self._asked[transfer.id] = vault

    def all(self) -> list[str]:
        """Those that were asked for and are not through."""
        return list(self._asked)

    def under_way(self, name: str) -> bool:
        """Whether a transfer was asked for under this id and is not through."""
        return name in self._asked

    def done(self, fact: Transferred) -> CoreVault | None:
        """Book what came or left, and say in which vault; None when it belongs to no one vault here."""
        asked = self._asked.get(fact.id)
        vaults = [vault for vault in self._vaults if vault.asset == fact.amount.asset] if asked is None else [asked]
        if len(vaults) != 1 or vaults[0].asset != fact.amount.asset:
            return None
        vaults[0].transferred(fact, by=fact.venue or "venue")
        self._asked.pop(fact.id, None)
        return vaults[0]

    def refused(self, event: TransferRefused) -> CoreVault | None:
        """What set out stays: say in which vault; None when nobody here asked for it."""
        vault = self._asked.get(event.id)
        if vault is not None:
            vault.refused(event.id, why=event.reason, at=event.at)
            del self._asked[event.id]
        return vault


def check_whose(vault: CoreVault, client: str = "") -> None:
    """Raises `VaultError` where coins for a pool come from nobody in particular."""
    if vault.pool and not client:
        raise VaultError(f"{vault.owner} is the pool {vault.pool}: say with client= whose money comes; a gift to all is for its sweep")
