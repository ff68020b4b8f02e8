"""What happened to an authority's sub-accounts: facts and the lines of a ledger, whole or not at all, on top of the trail.

The public shape; being filled in.

    past = Past(rpc, deployment, authority, subs, markets, ids)
    await past.refresh()                    read on to the chain's confirmed end; raises `VenueUnavailable`
    await past.history(since)               Fill | FundingPaid | Settled | Liquidated | Bankrupted | Transferred | Shifted, oldest first
    await past.cash_flows(since)            lines by sub-account, INTEREST among them
    past.holdings(users, spots)             coins by sub-account as the lines make them, held against the accounts
    await past.news()                       what was not told by `news` before: facts, Accepted, Canceled; for `events`
    await past.order(order_id)              what the chain says of an order of ours: `Seen`, or None
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...facts import CashFlow
from ...money import Amount
from ...orders import Accepted, Canceled
from ..ids import ClientIds
from ..solana import Rpc
from .accounts import SpotMarket, User
from .deployment import Deployment
from .done import Fact, Seen
from .markets import Markets

__all__ = ["Past"]


class Past:
    """The past of some sub-accounts of an authority. `markets` grows as markets are met that it has not."""

    def __init__(
        self, rpc: Rpc, deployment: Deployment, authority: str, subs: Iterable[int], markets: Markets, ids: ClientIds, *, at_once: int = 8
    ) -> None:
        raise NotImplementedError

    async def refresh(self, *, min_slot: int | None = None) -> None:
        """Read on to the confirmed end of the chain, by a node that has come to `min_slot`. Raises `VenueUnavailable`."""
        raise NotImplementedError

    async def history(self, since: int) -> Sequence[Fact]:
        """All facts from an instant on (UTC ns, included), oldest first: the same ones, with the same content, however often asked."""
        raise NotImplementedError

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """The lines of the sub-accounts' coins from an instant on; those of a fact name its key in `ref`."""
        raise NotImplementedError

    async def holdings(self, users: Mapping[int, User], spots: Mapping[int, SpotMarket]) -> dict[int, dict[str, Amount]]:
        """Coins by sub-account as the lines make them, held against accounts that were read together: raises where they do not agree."""
        raise NotImplementedError

    def accrued(self, users: Mapping[int, User], spots: Mapping[int, SpotMarket]) -> dict[int, dict[str, Amount]]:
        """What the accounts say beyond `holdings`: interest that no transaction of ours has told of yet."""
        raise NotImplementedError

    async def news(self, since: int) -> Sequence[Fact | Accepted | Canceled]:
        """What happened since `since` and was not told by `news` before, oldest first."""
        raise NotImplementedError

    async def order(self, order_id: str, since: int) -> Seen | None:
        """What became of an order of ours that was made at `since`; None where no transaction that is read says."""
        raise NotImplementedError

    async def transfer(self, transfer_id: str, since: int) -> Fact | None:
        """The fact that a transfer of ours, made at `since`, came to; None where no transaction that is read says."""
        raise NotImplementedError
