"""Shared hypothesis strategies: assets, amounts, instruments, accounts, postings, entries, and input that means harm.

`law` is how every law here runs: enough examples to find the corners, and no clock, because a slow machine breaks no
promise.
"""

from __future__ import annotations

import string
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, trunc

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sleeves.ledger import Account, Entry, EntryKind, Posting, Role
from sleeves.market import Instrument
from sleeves.money import Amount, Asset, Rounding, decimal_text

law = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
heavy = settings(law, max_examples=60)
"""The same, for laws over whole sequences of entries or trades."""

# -- an oracle for every rounding -------------------------------------------------------------------------------------

ROUNDED = {
    Rounding.DOWN: trunc,
    Rounding.UP: lambda exact: ceil(exact) if exact >= 0 else floor(exact),
    Rounding.FLOOR: floor,
    Rounding.CEIL: ceil,
    Rounding.HALF_EVEN: round,
}
"""What each rounding means, on exact fractions."""


def rounded(exact: Fraction, rounding: Rounding) -> int:
    return ROUNDED[rounding](exact)


roundings = st.sampled_from(Rounding)

# -- money ------------------------------------------------------------------------------------------------------------

_ALNUM = string.ascii_letters + string.digits

codes = st.builds(str.__add__, st.sampled_from(_ALNUM), st.text(_ALNUM + "._-", max_size=15))
assets = st.builds(Asset, codes, st.integers(0, 30))
units = st.integers(-(10**40), 10**40)


@st.composite
def amounts(draw, asset=None):
    return Amount(draw(units), draw(assets) if asset is None else asset)


# -- markets ----------------------------------------------------------------------------------------------------------


_twelve, _eighteen = st.integers(0, 12), st.integers(0, 18)


@st.composite
def instruments(draw, base_scale=_eighteen, quote_scale=_twelve, price_scale=_twelve):
    """Any instrument: fine and coarse assets, ticks from 10**-12 to thousands, lots of one unit and of many."""
    base = Asset("COIN", draw(base_scale))
    quote = Asset("CASH", draw(quote_scale))
    return Instrument(
        draw(st.sampled_from(["COIN/CASH", "coin-cash", "C:9", "X"])),
        base=base,
        quote=quote,
        tick=decimal_text(draw(st.integers(1, 5_000)), draw(price_scale)),
        lot=decimal_text(draw(st.integers(1, 5_000)), base.scale),
        min_qty=decimal_text(draw(st.integers(0, 10**6)), base.scale),
        min_notional=decimal_text(draw(st.integers(0, 10**9)), quote.scale),
        venue=draw(st.sampled_from(["", "sim", "kraken"])),
    )


FINE = instruments(base_scale=st.integers(8, 18), quote_scale=st.integers(0, 6), price_scale=st.integers(0, 12))
"""Instruments whose price and quantity together have more places than the quote asset: money is divided."""

COARSE = instruments(base_scale=st.integers(0, 2), quote_scale=st.integers(6, 12), price_scale=st.integers(0, 3))
"""Instruments whose quote asset has more places than price and quantity together: money is multiplied."""

markets = st.one_of(FINE, COARSE, instruments())

# -- accounts, postings, entries --------------------------------------------------------------------------------------

SLEEVES = ("quiet", "flash")
CORE = "core:main:USD"
WORLD = "world"

SLEEVE_ONLY = (
    Role.FREE,
    Role.HELD,
    Role.MARGIN,
    Role.BETWEEN,
    Role.UNSETTLED,
    Role.TRADING,
    Role.CONTRACTS,
    Role.FEES,
    Role.FUNDING,
    Role.PNL,
)
"""Coins of a sleeve and how they came to be, spelled out: an oracle does not borrow the ledger's own sets."""

CORE_COINS = (Role.IDLE, Role.RESERVED, Role.SUSPENSE, Role.IN_TRANSIT)
INTERNAL_KINDS = (
    EntryKind.HOLD,
    EntryKind.RELEASE,
    EntryKind.FILL,
    EntryKind.FUNDING,
    EntryKind.SETTLE,
    EntryKind.LIQUIDATION,
    EntryKind.BANKRUPTCY,
)
PASSAGE_KINDS = (EntryKind.MOVE, EntryKind.ARRIVE)
FACT_KINDS = (
    EntryKind.RELEASE,
    EntryKind.FILL,
    EntryKind.FUNDING,
    EntryKind.SETTLE,
    EntryKind.LIQUIDATION,
    EntryKind.BANKRUPTCY,
    EntryKind.DEPOSIT,
    EntryKind.WITHDRAWAL,
    EntryKind.ARRIVE,
    EntryKind.ADJUST,
)

ALPHA = Asset("USD", 6)
BETA = Asset("BTC", 8)

_no_space = st.text(_ALNUM + string.punctuation + "éßЖ漢😀١", min_size=1, max_size=20)
owners = _no_space.filter(lambda text: "/" not in text)
accounts = st.builds(Account, owners, st.sampled_from(Role), st.one_of(st.just(""), _no_space))
"""Every account that can be written as text: no white space, and no slash in the owner."""

postings = st.builds(lambda account, amount: Posting(account, amount.asset, amount.units), accounts, amounts())

_ofs = st.sampled_from(["", "flash-1", "BTC/USD"])
_sleeve_accounts = st.builds(Account, st.sampled_from(SLEEVES), st.sampled_from(SLEEVE_ONLY), _ofs)
_own = {sleeve: st.builds(Account, st.just(sleeve), st.sampled_from(SLEEVE_ONLY), _ofs) for sleeve in SLEEVES}
_core_accounts = st.builds(Account, st.just(CORE), st.sampled_from(CORE_COINS), st.sampled_from(["", "flash"]))
_world = st.just(Account(WORLD, Role.WORLD))
_steps = st.one_of(st.integers(1, 9), st.integers(1, 10**30)).flatmap(lambda n: st.sampled_from([n, -n]))


@st.composite
def entries(draw):
    """Any entry over two sleeves, a core vault and the world: balanced or not, allowed or not.

    Permissions and marks come in balanced pairs; what the ledger makes of others is tested by itself.
    """
    kind = draw(st.sampled_from(EntryKind))
    only = draw(st.sampled_from(SLEEVES))
    own = _own[only]
    pool = draw(st.sampled_from([own, own, st.one_of(own, _core_accounts, _world), st.one_of(_sleeve_accounts, _core_accounts)]))
    asset = st.sampled_from([ALPHA, BETA])
    body = draw(st.lists(st.builds(Posting, pool, asset, _steps), max_size=4))
    if draw(st.integers(0, 4)):  # mostly balanced
        for each in (ALPHA, BETA):
            total = sum(p.units for p in body if p.asset == each)
            if total:
                body.append(Posting(draw(pool), each, -total))
    if kind not in INTERNAL_KINDS and kind not in PASSAGE_KINDS and draw(st.booleans()):
        mark = draw(st.sampled_from([Account(CORE, Role.TRADEABLE), Account("quiet", Role.HIGH_WATER), Account("flash", Role.HIGH_WATER)]))
        change = draw(_steps)
        body += [Posting(mark, ALPHA, change), Posting(Account(mark.owner, Role.MEMO), ALPHA, -change)]
    return Entry(draw(st.integers(0, 10**19)), kind, draw(st.sampled_from(["owner", "desk"])), tuple(body), draw(_ofs), draw(_ofs))


@st.composite
def balanced_entries(draw):
    """Facts of one sleeve and its core vault that any ledger takes."""
    own = st.one_of(_own["flash"], _core_accounts)
    body = []
    for asset in (ALPHA, BETA):
        part = draw(st.lists(st.builds(Posting, own, st.just(asset), _steps), max_size=3))
        total = sum(p.units for p in part)
        body += [*part, Posting(Account(WORLD, Role.WORLD), asset, -total)] if total else part
    return Entry(draw(st.integers(0, 10**19)), EntryKind.ADJUST, "owner", tuple(body), draw(_ofs), "why")


# -- harm -------------------------------------------------------------------------------------------------------------

hostile_text = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "\r\n",
            "\t",
            "\0",
            "a b",
            "a/b",
            "a|b",
            "a:b",
            "x/free:y",
            '"',
            "\\",
            '"}',
            "{}",
            "null",
            "../../etc/passwd",
            "'; drop table journal; --",
            "<script>alert(1)</script>",
            "%s%n",
            "\u2028",
            "\u202e",
            "\ufeff",
            "\ud800",
            "\udfff\ud800",
            "é",
            "é",
            "١٢",
            "😀",
            "a" * 10_000,
        ]
    ),
    st.text(st.characters(), max_size=30),
    st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
"""Text that breaks parsers: empty, unprintable, bidirectional, lone surrogates, other people's syntax."""


class LooksLikeText(str):
    """Text of a class of its own."""

    __slots__ = ()


NOT_NUMBERS = [
    "",
    " ",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "1e5",
    "1E5",
    "1e-5",
    "--1",
    "+-1",
    "- 1",
    "-",
    "+",
    ".",
    "1.",
    ".5",
    "1.2.3",
    "1,000",
    "1_000",
    "1 000",
    "0x10",
    "1/2",
    "½",
    "²",
    "١٢",
    "１２",
    "1٫5",
    "−1",
    "1\n",
    "\t1",
    "1\0",
    "\u00a01",
    "1\u200b",
    "$1",
    "1 EUR",
    "one",
    "None",
    "True",
    "\ud800",
    "9" * 61,
    "0." + "1" * 61,
    LooksLikeText("1e5"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    Decimal("1E+999999"),
    Decimal("1E-999999"),
    10**60,
    -(10**70),
    True,
    False,
    None,
    b"1",
    bytearray(b"1"),
    1.0,
    0.1,
    float("nan"),
    float("inf"),
    1j,
    Fraction(1, 2),
    [1],
    (1,),
    {},
    ...,
]
"""What is no plain, finite, exact decimal number, whatever the asset."""

hostile_numbers = st.one_of(
    st.sampled_from(NOT_NUMBERS),
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.text(st.characters(), max_size=10).filter(lambda text: not set(text) <= set("+-0123456789. ")),
)
