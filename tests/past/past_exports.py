"""Small exports for tests, and the market that they are of. All ids are made up."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from sleeves.market import Instrument
from sleeves.money import Asset
from sleeves.past import BadHistory

BTC = Asset("BTC", 10)
ETH = Asset("ETH", 10)
DOT = Asset("DOT", 10)
USD = Asset("USD", 6)
EUR = Asset("EUR", 6)
BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.1", lot="0.00000001", venue="kraken")
ETHUSD = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.00000001", venue="kraken")
ETHBTC = Instrument("ETH/BTC", base=ETH, quote=BTC, tick="0.00001", lot="0.00000001", venue="kraken")
BTCEUR = Instrument("BTC/EUR", base=BTC, quote=EUR, tick="0.1", lot="0.00000001", venue="kraken")

TRADES = '"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","margin","misc","ledgers"'
LEDGERS = '"txid","refid","time","type","subtype","aclass","asset","wallet","amount","fee","balance"'
TRADE = '"TAAA-1","OAAA-1","XETHZUSD","2024-03-01 12:00:00.4000","buy","limit",2400.00,240.00000,0.96000,0.10000000,0.00000,"","LA,LB"'
"""The figures of the TradesHistory sample in the venue notes: 0.1 ETH at 2,400 for 240 USD, fee 0.96."""


def write(folder, rows, header=TRADES, name="trades.csv"):
    path = folder / name
    path.write_bytes(("\n".join([header, *rows]) + "\n").encode() if not isinstance(rows, bytes) else rows)
    return path


def trade(**changes):
    """The sample trade as a row, with some cells changed."""
    names = [name.strip('"') for name in TRADES.split(",")]
    sample = [cell.strip('"') for cell in TRADE.replace("LA,LB", "LA").split(",")]
    cells = dict(zip(names, sample, strict=True)) | changes
    return ",".join(cells.values())


def refusal(call, *args, **kwargs):
    """The error of a call that must refuse."""
    try:
        call(*args, **kwargs)
    except BadHistory as error:
        return error
    raise AssertionError("nothing was refused")


class Berlin(tzinfo):
    """The wall clock of Berlin in 2024, so that no test needs a time zone database."""

    SUMMER = datetime(2024, 3, 31, 2), datetime(2024, 10, 27, 2)  # noqa: DTZ001 wall clock times

    def utcoffset(self, moment):
        begin, end = self.SUMMER
        local, hour = moment.replace(tzinfo=None, fold=0), timedelta(hours=1)
        early = begin + (hour if not moment.fold else timedelta()) <= local < end
        return timedelta(hours=2 if early or (end <= local < end + hour and not moment.fold) else 1)

    def dst(self, moment):
        return self.utcoffset(moment) - timedelta(hours=1)

    def tzname(self, moment):
        return "Berlin"

    def __str__(self):
        return "Berlin"


BERLIN = Berlin()
