"""Kraken's candles: closed ones only, a file that grows and never lies, and the archive."""

from __future__ import annotations

import gzip
import os
from decimal import Decimal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import BadTape, InvalidMarket, VenueUnavailable
from sleeves.market import HOUR, MINUTE, SECOND
from sleeves.sim.tape import Tape
from sleeves.venues.kraken.bars import INTERVALS, MOST_BARS, Candles, candles, read_candles
from sleeves.venues.kraken.client import Client
from sleeves.venues.retry import Retry
from strategies import law
from venues.kraken.tiny_kraken import Said, tiny

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
BEGIN = 1_789_999_200
D = Decimal
ASSETS = {"XETH": {"altname": "ETH", "decimals": 10}, "ZUSD": {"altname": "USD", "decimals": 4}}
PAIRS = {
    "XETHZUSD": {
        "altname": "ETHUSD",
        "wsname": "ETH/USD",
        "base": "XETH",
        "quote": "ZUSD",
        "pair_decimals": 2,
        "lot_decimals": 8,
        "ordermin": "0.002",
        "costmin": "0.5",
        "tick_size": "0.01",
    }
}


def row(n, minutes=60, *, volume="1.50000000"):
    """Bar number n, as Kraken's OHLC writes it."""
    return [BEGIN + n * minutes * 60, f"{2500 + n}.10", f"{2510 + n}.00", f"{2490 + n}.00", f"{2501 + n}.20", "2500.0", volume, 7]


class Market:
    """OHLC as Kraken has it: the last 720 closed bars and the running one, those before `since` left out."""

    def __init__(self, closed, *, missing=(), last=True, changed=None):
        self.closed, self.missing, self.last, self.changed = closed, set(missing), last, changed or {}
        self.asked = []

    def __call__(self, args):
        self.asked.append(args)
        minutes = int(args["interval"])
        rows = [self.changed.get(n, row(n, minutes)) for n in range(self.closed + 1) if n not in self.missing]
        rows = rows[-MOST_BARS - 1 :]
        rows = [one for one in rows if one[0] > int(args.get("since", 0))]
        said = {"XETHZUSD": rows}
        return said | ({"last": BEGIN + (self.closed - 1) * minutes * 60} if self.last else {})


def told(market, *args, backend="asyncio", **terms):
    """What `candles` gives of a market."""
    with tiny({"Assets": ASSETS, "AssetPairs": PAIRS, "OHLC": market}) as kraken:

        async def main():
            async with Client(base_url=kraken.url, retry=Retry(attempts=1)) as client:
                return await candles(*args, client=client, **terms)

        return anyio.run(main, backend=backend)


# -- from REST ---------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("last", [True, False])
def test_closed_bars_and_not_the_one_that_runs(backend, last):
    found = told(Market(5, last=last), "ETH/USD", "1h", backend=backend)
    assert [bar[0] for bar in found.bars] == [BEGIN + n * 3600 for n in range(5)]
    assert found.bars[0] == (BEGIN, D("2500.10"), D("2510"), D("2490"), D("2501.20"), D("1.5"), 7)
    assert (found.pair, found.interval, len(found), found.gaps) == ("ETH/USD", HOUR, 5, ())


@pytest.mark.parametrize("name", ["ETH/USD", "ETHUSD", "XETHZUSD"])
def test_a_pair_by_each_of_its_names(name):
    market = Market(2)
    assert told(market, name, 60).pair == "ETH/USD"
    assert market.asked[0]["pair"] == "ETHUSD"


def test_it_goes_into_a_tape_as_it_stands():
    found = told(Market(5), "ETH/USD", "1h")
    tape = Tape.from_columns(found.instrument, **found.columns())
    assert next(tape.rows()) == (BEGIN * SECOND, 250_010, 251_000, 249_000, 250_120, 150_000_000)
    assert (len(tape), tape.interval, tape.instrument.symbol, tape.instrument.venue) == (5, HOUR, "ETH/USD", "kraken")
    assert not tape.repairs.any


def test_since_leaves_out_what_opens_before():
    at = (BEGIN + 2 * 3600) * SECOND
    assert [bar[0] for bar in told(Market(5), "ETH/USD", "1h", since=at).bars] == [BEGIN + n * 3600 for n in (2, 3, 4)]
    assert len(told(Market(5), "ETH/USD", "1h", since=at + 1)) == 2


def test_720_at_most():
    found = told(Market(1000), "ETH/USD", "1h")
    assert len(found) == MOST_BARS == 720
    assert found.bars[-1][0] == BEGIN + 999 * 3600


def test_a_market_without_a_closed_bar():
    found = told(Market(0), "ETH/USD", "1h")
    assert len(found) == 0 and found.columns()["ts"] == []
    with pytest.raises(BadTape):
        Tape.from_columns(found.instrument, **found.columns())


@pytest.mark.parametrize("interval", ["2h", "", 7, 0, -60, True, 1.5, None, "60"])
def test_an_interval_that_kraken_has_not(interval):
    with pytest.raises(InvalidMarket, match=r"interval .* is none of 1m, 5m, 15m, 30m, 1h, 4h, 1d, 1w, 15d"):
        told(Market(5), "ETH/USD", interval)


def test_intervals_are_krakens():
    assert sorted(INTERVALS.values()) == [1, 5, 15, 30, 60, 240, 1440, 10080, 21600]


def test_a_pair_that_there_is_none_of():
    with pytest.raises(InvalidMarket, match="Kraken lists no pair 'ETH/EUR'"):
        told(Market(5), "ETH/EUR", "1h")


def test_kraken_that_does_not_answer(tmp_path):
    with pytest.raises(VenueUnavailable):
        told(Said("EService:Busy"), "ETH/USD", "1h", cache=tmp_path / "eth.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_client_of_its_own_is_closed_again():
    with tiny({"Assets": ASSETS, "AssetPairs": PAIRS, "OHLC": Market(3)}) as kraken:
        found = anyio.run(lambda: candles("ETH/USD", "1h", base_url=kraken.url))
    assert len(found) == 3


# -- the file ------------------------------------------------------------------------------------------------------------


@both
def test_a_file_grows_with_what_has_closed(backend, tmp_path):
    path = tmp_path / "eth.csv"
    for closed in (3, 3, 5, 700, 1300):
        market = Market(closed)
        found = told(market, "ETH/USD", "1h", cache=path, backend=backend)
        assert [bar[0] for bar in found.bars] == [BEGIN + n * 3600 for n in range(closed)]
        assert read_candles(path, "ETH/USD", "1h").bars == found.bars
    assert int(market.asked[0]["since"]) == BEGIN + 698 * 3600, "only what is new is asked for, and one that is known"
    assert [one.name for one in tmp_path.iterdir()] == ["eth.csv"]


def test_a_tape_is_loaded_from_the_file(tmp_path):
    found = told(Market(5), "ETH/USD", "1h", cache=tmp_path / "eth.csv")
    loaded = Tape.load(tmp_path / "eth.csv", found.instrument, interval=HOUR)
    assert loaded.digest() == Tape.from_columns(found.instrument, **found.columns()).digest()


def test_a_file_that_disagrees_with_kraken_is_left_as_it_is(tmp_path):
    path = tmp_path / "eth.csv"
    told(Market(5), "ETH/USD", "1h", cache=path)
    before = path.read_bytes()
    with pytest.raises(BadTape, match=rf"the bar of ts {BEGIN + 4 * 3600} is .* in one and .* in the other"):
        told(Market(7, changed={4: row(4, volume="1.6")}), "ETH/USD", "1h", cache=path)
    assert path.read_bytes() == before


def test_a_file_that_ends_too_long_ago_is_not_continued_behind_a_hole(tmp_path):
    path = tmp_path / "eth.csv"
    told(Market(5), "ETH/USD", "1h", cache=path)
    before = path.read_bytes()
    assert len(told(Market(725), "ETH/USD", "1h", cache=path)) == 725, "the last of 720 follows at once"
    path.write_bytes(before)
    with pytest.raises(BadTape, match=r"eth.csv ends with the bar of ts .* what is between is lost to REST; take it from the archive"):
        told(Market(726), "ETH/USD", "1h", cache=path)
    assert path.read_bytes() == before


def test_where_nobody_traded_there_is_no_hole(tmp_path):
    """Fewer than 720 bars came: that is all that there was."""
    path = tmp_path / "eth.csv"
    told(Market(5), "ETH/USD", "1h", cache=path)
    found = told(Market(20, missing={5, 6, 7}), "ETH/USD", "1h", cache=path)
    assert found.gaps == ((BEGIN + 4 * 3600, BEGIN + 8 * 3600),)
    assert len(found) == 17 and len(found.filled()) == 20


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "has the header a,b, not ts,open,high,low,close,volume,trades"),
        ("ts,open,high,low,close,volume,trades\n1,2,3\n", "row 1: .* 3 fields in place of 7"),
        ("1,2,3,1,2,1,x\n", "row 1: .* the trades 'x'"),
        ("1.5,2,3,1,2,1,1\n", "has the header"),
        ("3600,2,3,1,NaN,1,1\n", "row 1: .* the close 'NaN'"),
        ("3600,2,3,1,2,1e99,1\n", "row 1: .* the volume '1e99'"),
        ("3600,2,3,1,2,-1,1\n", "row 1: .* cannot be .* volume -1"),
        ("3600,2,1,1,2,1,1\n", "row 1: .* cannot be"),
        ("3600,0,3,0,2,1,1\n", "row 1: .* cannot be"),
        ("3600,2,3,1,2,1,1\n3600,2,3,1,2,1,1\n", "row 2: .* does not follow"),
        ("7200,2,3,1,2,1,1\n3600,2,3,1,2,1,1\n", "row 2: .* does not follow"),
        ("3600,2,3,1,2,1,1\n7201,2,3,1,2,1,1\n", "row 2: .* by a whole number of 3600 s"),
        ('3600,"2,3,1,2,1,1\n', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_and_left(tmp_path, text, why):
    path = tmp_path / "eth.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = path.read_bytes()
    with pytest.raises(BadTape, match=why):
        read_candles(path, "ETH/USD", "1h")
    with pytest.raises(BadTape, match=why):
        told(Market(5), "ETH/USD", "1h", cache=path)
    assert path.read_bytes() == before


def test_an_empty_file_is_begun(tmp_path):
    path = tmp_path / "eth.csv"
    path.write_text("")
    assert len(told(Market(5), "ETH/USD", "1h", cache=path)) == len(read_candles(path, "ETH/USD", "1h")) == 5


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "eth.csv"
    told(Market(5), "ETH/USD", "1h", cache=path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        told(Market(7), "ETH/USD", "1h", cache=path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["eth.csv"]


# -- the archive -----------------------------------------------------------------------------------------------------------

# Kraken's downloadable OHLCVT: unixtime, open, high, low, close, volume, trades; no header; intervals without trades missing
ARCHIVE = "1789999200,2500.1,2510.0,2490.0,2501.2,1.5,7\n"
ARCHIVE += "1790002800,2501.1,2511.0,2491.0,2502.2,1.5,7\n1790013600,2504.1,2514.0,2494.0,2505.2,1.5,7\n"


@pytest.mark.parametrize("packed", [False, True])
def test_the_archive(tmp_path, packed):
    path = tmp_path / "ETHUSD_60.csv"
    path.write_bytes(gzip.compress(ARCHIVE.encode()) if packed else ARCHIVE.encode())
    found = read_candles(path, "ETH/USD", "1h")
    assert [bar[0] for bar in found.bars] == [BEGIN, BEGIN + 3600, BEGIN + 4 * 3600]
    assert found.gaps == ((BEGIN + 3600, BEGIN + 4 * 3600),)
    filled = found.filled()
    assert [bar[0] for bar in filled.bars] == [BEGIN + n * 3600 for n in range(5)]
    assert filled.bars[2] == (BEGIN + 2 * 3600, *(D("2502.2"),) * 4, 0, 0)
    assert filled.gaps == ()


def test_the_archive_begins_what_rest_goes_on_with(tmp_path):
    archive, path = tmp_path / "ETHUSD_60.csv", tmp_path / "eth.csv"
    archive.write_text(ARCHIVE)
    read_candles(archive, "ETH/USD", "1h").save(path)
    found = told(Market(8), "ETH/USD", "1h", cache=path)
    assert [bar[0] for bar in found.bars] == [BEGIN + n * 3600 for n in (0, 1, 4, 5, 6, 7)]


def test_other_bars_are_not_joined():
    one = Candles("ETH/USD", HOUR, ())
    for other in (Candles("BTC/USD", HOUR, ()), Candles("ETH/USD", MINUTE, ())):
        with pytest.raises(InvalidMarket, match="are not joined"):
            one.joined(other)


steps = st.lists(st.integers(1, 5), max_size=20)
figures = st.decimals("0.01", "99999", places=2)


@st.composite
def series(draw):
    """Bars with gaps, as an archive has them."""
    at, bars = draw(st.integers(1, 10**6)) * 60, []
    for step in draw(steps):
        at += step * 60
        low, *inner, high = sorted(draw(st.lists(figures, min_size=4, max_size=4)))
        bars.append((at, inner[0], high, low, inner[1], draw(st.decimals(0, 999, places=8)), draw(st.integers(0, 99))))
    return Candles("ETH/USD", MINUTE, tuple(bars))


@law
@given(whole=series(), cut=st.integers(0, 20), again=st.integers(0, 20))
def test_what_was_cut_in_two_is_joined_to_the_same(whole, cut, again):
    older, newer = Candles("ETH/USD", MINUTE, whole.bars[:cut]), Candles("ETH/USD", MINUTE, whole.bars[max(cut - again, 0) :])
    assert older.joined(newer).bars == whole.bars


@law
@given(whole=series())
def test_what_is_saved_is_read_back_to_the_digit(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "x.csv"
    whole.save(path)
    again = read_candles(path, "ETH/USD", 1)
    texts = [[[format(figure, "f") for figure in bar[1:6]] for bar in bars] for bars in (again.bars, whole.bars)]
    assert texts[0] == texts[1]
    assert again.bars == whole.bars


@law
@given(whole=series())
def test_filled_has_no_gap_and_keeps_each_bar(whole):
    filled = whole.filled()
    assert filled.gaps == ()
    assert set(whole.bars) <= set(filled.bars)
    assert sum(bar[5] for bar in filled.bars) == sum(bar[5] for bar in whole.bars)
    assert filled.filled().bars == filled.bars
