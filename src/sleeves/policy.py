"""What becomes of a profit, and how much is never risked: rules as data, previewable before they run.

Pure arithmetic on integers. Nothing here knows a ledger or a vault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from attrs import evolve, frozen

from .errors import InvalidAmount
from .money import PPM, Amount, AmountLike, Asset, Fraction, Rounding, decimal_text, divide, ppm

__all__ = ["FLASH", "QUIET", "ProfitPolicy", "Reserve", "Sweep"]


class Sweep(NamedTuple):
    """What a policy would do now: `units` go back to the core vault; `kept` is the change of the sleeve's high water."""

    units: int
    kept: int


@frozen(order=False)
class ProfitPolicy:
    """What a sleeve does with its profit whenever its last position is fully closed.

    Profit is what its balance shows above its allocation; after a loss, later profit restores the allocation first, so
    nothing is swept until then. Built by name and refined by copies:

        >>> ProfitPolicy.sweep_on_close().share("50%").at_least("10").at_most("500")
        ProfitPolicy(name='custom', share_ppm=500000, high_water=True, least='10', most='500')
    """

    name: str
    share_ppm: int
    """The part of the profit that is swept, in parts per million: 0 keeps all, 1,000,000 sweeps all."""
    high_water: bool = False
    """Profit that was shared once and kept is not shared again."""
    least: str | None = None
    """A sweep smaller than this waits for more."""
    most: str | None = None
    """A single sweep takes no more than this."""

    def __attrs_post_init__(self) -> None:
        if type(self.share_ppm) is not int or not 0 <= self.share_ppm <= PPM:
            raise InvalidAmount(f"share of {self.share_ppm} ppm must lie between 0% and 100%")

    @classmethod
    def compound(cls) -> ProfitPolicy:
        """Keep and compound all profit."""
        return cls("quiet", 0)

    @classmethod
    def sweep_on_close(cls) -> ProfitPolicy:
        """Return all profit, keep the allocation."""
        return cls("flash", PPM)

    @classmethod
    def above_high_water(cls, share: Fraction) -> ProfitPolicy:
        """Return a share of each new high of the profit, and keep and compound the rest."""
        return cls.sweep_on_close().share(share)

    def terms(self) -> dict[str, str]:
        """All that defines it, as text; `from_terms` reads it back."""
        terms = {"policy": self.name, "share_ppm": str(self.share_ppm), "high_water": str(self.high_water)}
        return terms | {"least": str(self.least), "most": str(self.most)}

    @classmethod
    def from_terms(cls, terms: Mapping[str, str]) -> ProfitPolicy:
        """Read back what `terms` wrote; other keys are passed over."""
        least, most = (None if terms[name] == "None" else terms[name] for name in ("least", "most"))
        return cls(terms["policy"], int(terms["share_ppm"]), terms["high_water"] == "True", least, most)

    def share(self, share: Fraction) -> ProfitPolicy:
        """Sweep this share of new profit ("50%"), and keep the rest above a high-water mark."""
        part = ppm(share, "share")
        if not 0 <= part <= PPM:
            raise InvalidAmount(f"share {share} must lie between 0% and 100%")
        return evolve(self, name="custom", share_ppm=part, high_water=0 < part < PPM)

    def at_least(self, amount: str) -> ProfitPolicy:
        """Do not bother with less than this many coins."""
        return evolve(self, name="custom", least=str(amount))

    def at_most(self, amount: str) -> ProfitPolicy:
        """Take no more than this many coins at once."""
        return evolve(self, name="custom", most=str(amount))

    def check(self, asset: Asset) -> None:
        """Raise `InvalidAmount` when the floor or cap is not a positive amount of this asset, or floor exceeds cap."""
        least = asset(self.least).units if self.least is not None else 1
        most = asset(self.most).units if self.most is not None else least
        if least <= 0 or most < least:
            raise InvalidAmount(f"sweep floor {self.least} and cap {self.most}: need 0 < floor <= cap")

    def preview(self, balance: AmountLike, allocation: AmountLike, *, free: AmountLike | None = None, asset: Asset) -> Amount:
        """What would be swept from a flat sleeve with this balance and allocation."""
        has = asset(balance).units
        loose = has if free is None else asset(free).units
        return asset.units(self.sweep(has, asset(allocation).units, 0, loose, asset).units)

    def sweep(self, balance: int, allocation: int, high_water: int, free: int, asset: Asset) -> Sweep:
        """The sweep of a flat sleeve, in units. `high_water` is the kept profit that was already shared."""
        base = allocation + (high_water if self.high_water else 0)
        profit = balance - base
        if profit <= 0 or not self.share_ppm:
            return Sweep(0, 0)
        units = divide(profit * self.share_ppm, PPM, Rounding.DOWN)
        if self.most is not None:
            units = min(units, asset(self.most).units)
        units = min(units, free)
        if units <= 0 or (self.least is not None and units < asset(self.least).units):
            return Sweep(0, 0)
        return Sweep(units, min(profit - units, self.kept(units)))

    def kept(self, units: int) -> int:
        """The profit that a sleeve has shared and keeps where so many units of it are swept."""
        return divide(units * (PPM - self.share_ppm), self.share_ppm, Rounding.UP) if self.high_water and self.share_ppm else 0


QUIET = ProfitPolicy.compound()
FLASH = ProfitPolicy.sweep_on_close()


@frozen(order=False)
class Reserve:
    """The part of Total Coins that is never put at risk: fixed, or flexing with realized volatility within a band.

    At or below `calm` yearly volatility the reserve is `low`, at or above `wild` it is `high`, and in between it lies
    on the straight line. All in parts per million; the reserve itself is rounded up.
    """

    low_ppm: int
    high_ppm: int
    calm_ppm: int = 0
    wild_ppm: int = 0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.low_ppm <= self.high_ppm <= PPM:
            raise InvalidAmount(f"reserve band {self.low_ppm} to {self.high_ppm} ppm: need 0% <= low <= high <= 100%")
        if self.low_ppm != self.high_ppm and not 0 <= self.calm_ppm < self.wild_ppm:
            raise InvalidAmount(f"reserve volatility {self.calm_ppm} to {self.wild_ppm} ppm: need 0% <= calm < wild")

    @classmethod
    def fixed(cls, part: Fraction) -> Reserve:
        """Always this part of Total Coins: `Reserve.fixed("10%")`."""
        return cls(ppm(part, "reserve"), ppm(part, "reserve"))

    @classmethod
    def flex(cls, low: Fraction = "5%", high: Fraction = "20%", *, calm: Fraction = "40%", wild: Fraction = "120%") -> Reserve:
        """Between `low` and `high` as yearly volatility goes from `calm` to `wild`."""
        return cls(ppm(low, "reserve"), ppm(high, "reserve"), ppm(calm, "volatility"), ppm(wild, "volatility"))

    @property
    def flexes(self) -> bool:
        return self.low_ppm != self.high_ppm

    def part(self, volatility_ppm: int | None = None) -> int:
        """The reserve in parts per million at a yearly volatility. Not known yet counts as wild."""
        if not self.flexes:
            return self.low_ppm
        if volatility_ppm is None or volatility_ppm >= self.wild_ppm:
            return self.high_ppm
        if volatility_ppm <= self.calm_ppm:
            return self.low_ppm
        rise = (self.high_ppm - self.low_ppm) * (volatility_ppm - self.calm_ppm)
        return self.low_ppm + divide(rise, self.wild_ppm - self.calm_ppm, Rounding.UP)

    def target(self, total: int, volatility_ppm: int | None = None) -> int:
        """The reserve in units for this total."""
        return divide(max(0, total) * self.part(volatility_ppm), PPM, Rounding.CEIL)

    def __str__(self) -> str:
        low, high = _percent(self.low_ppm), _percent(self.high_ppm)
        return low if low == high else f"{low} to {high} as volatility goes from {_percent(self.calm_ppm)} to {_percent(self.wild_ppm)}"

    @classmethod
    def parse(cls, text: str) -> Reserve:
        """Read back what `str` wrote. Raises `InvalidAmount` for anything else."""
        parts = [ppm(word, "reserve") for word in text.split() if word.endswith("%")]
        found = cls.fixed(text) if len(parts) == 1 else cls(*parts) if len(parts) == 4 else None
        if found is None or str(found) != text:
            raise InvalidAmount(f"{text!r} is no reserve")
        return found


def _percent(parts: int) -> str:
    return f"{decimal_text(parts, 4)}%"
