"""Markets that Jupiter can trade: two tokens by their mints, the size that is quoted, and the DEXes that may be used.

An on-chain amount is in raw units of the token's own decimals; ours is in units of the `Asset`. Where the asset is counted more
finely than the chain counts, a raw unit is many of ours, and a quantity is a whole number of raw units.

It asks nobody: whether a mint has these decimals is looked at when the driver opens.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ...errors import InvalidMarket
from ...market import Instrument, Kind
from ...money import SOL, USDC, USDT, Asset, decimal_text
from ..solana.addresses import WSOL
from ..solana.written import address

__all__ = ["TOKENS", "Market", "Token"]

_TICK = "0.000000001"
_LOT_OF_SOL = "0.001"


@frozen(order=False)
class Token:
    """An asset and its mint. `decimals` are the chain's, by default the asset's own; an asset that counts less finely is refused.

    Raises `InvalidMarket`.
    """

    asset: Asset
    mint: str
    decimals: int = field()

    @decimals.default
    def _same(self) -> int:
        return self.asset.scale if isinstance(self.asset, Asset) else 0

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.asset, Asset):
            raise InvalidMarket(f"a token is of an Asset, not of {self.asset!r}")
        address(self.mint)
        if type(self.decimals) is not int or not 0 <= self.decimals <= self.asset.scale:
            rule = f"whole, and at most the {self.asset.scale} decimal places in which {self.asset} is counted here"
            raise InvalidMarket(f"decimals {self.decimals!r} of the token {self.asset}: need {rule}")

    @property
    def factor(self) -> int:
        """How many units of the asset a raw unit is."""
        return int(10 ** (self.asset.scale - self.decimals))

    def raw(self, units: int) -> int:
        """Units of the asset as raw units. Raises `InvalidMarket` where they are no whole number of them."""
        raw, rest = divmod(units, self.factor)
        if rest:
            raise InvalidMarket(f"{self.asset.units(units)} cannot be paid on the chain, which counts {self.decimals} decimal places")
        return raw


TOKENS: Mapping[str, Token] = {
    "SOL": Token(SOL, str(WSOL)),
    "USDC": Token(USDC, "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
    "USDT": Token(USDT, "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"),
}
"""The coins that everybody trades against."""


@frozen(order=False)
class Market:
    """One token quoted in another. `size` is what the quotes are for, in coins of the base; `dexes` the only ones used, if told.

        Market.of("SOL/USDC", TOKENS["SOL"], TOKENS["USDC"], size="1")
        Market.of("SOL/USDC:Raydium", TOKENS["SOL"], TOKENS["USDC"], size="1", dexes="Raydium")

    DEXes are named by Jupiter's labels (`JupiterApi.labels`). The same pair may have a market of its own for each DEX.
    """

    instrument: Instrument
    base: Token
    quote: Token
    size: int
    dexes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        symbol: str,
        base: Token,
        quote: Token,
        *,
        size: str = "1",
        dexes: str | tuple[str, ...] = (),
        tick: str = _TICK,
        lot: str | None = None,
        venue: str = "jupiter",
    ) -> Market:
        """A market in steps of `tick` and `lot`; where nothing is said the lot is one raw unit, or 0.001 SOL.

        Fees are paid in SOL: what a sleeve has below a whole lot of it pays for its exits.

        Raises `InvalidMarket` for tokens that are the same, for a lot that is no whole number of raw units, and for a size that is
        no whole number of lots.
        """
        if not isinstance(base, Token) or not isinstance(quote, Token):
            raise InvalidMarket(f"{symbol} is of two Tokens, not of {base!r} and {quote!r}")
        if base.mint == quote.mint:
            raise InvalidMarket(f"{symbol} trades {base.mint} against itself")
        if lot is None:
            lot = _LOT_OF_SOL if base.mint == str(WSOL) else decimal_text(base.factor, base.asset.scale)
        instrument = Instrument(symbol, base=base.asset, quote=quote.asset, tick=tick, lot=lot, kind=Kind.SPOT, venue=venue)
        if instrument.lot_units % base.factor:
            raise InvalidMarket(f"the lot {lot} of {symbol} is finer than the chain's {base.decimals} decimal places")
        labels = (dexes,) if isinstance(dexes, str) else tuple(dexes)
        if not all(isinstance(label, str) and label and "," not in label for label in labels):
            raise InvalidMarket(f"the DEXes of {symbol} are labels, not {dexes!r}")
        return cls(instrument, base, quote, instrument.qty(size), labels)

    @property
    def symbol(self) -> str:
        return self.instrument.symbol
