"""Reports as frames of other libraries: exact, typed, in UTC; and daily returns that quantstats understands."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helpers import carry, new_desk
from sleeves import QUIET
from sleeves.demo import run
from sleeves.errors import MissingExtra, VaultError
from sleeves.export import BACKENDS, frame
from sleeves.report import Report

pytest.importorskip("narwhals")

WHAT = ("sleeves", "vaults", "trades", "fills", "series", "monthly", "costs", "refusals")
ROWS = {"sleeves": "rows", "vaults": "vault_rows", "trades": "trades", "fills": "fills", "monthly": "months", "costs": "costs"}


@pytest.fixture(scope="module")
def report():
    return run(progress=False)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return pytest.importorskip(request.param).__name__


def lists(found):
    """A frame's columns as lists, with None for what is not known."""
    import narwhals as nw

    return {name: found_column(column) for name, column in nw.from_native(found).to_dict(as_series=False).items()}


def found_column(values):
    return [None if value is None or value != value else value for value in values]


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("money", ["text", "decimal", "float"])
def test_a_frame_has_the_rows_of_the_report(report, backend, what, money):
    found = report.to_frame(what, backend=backend, money=money)
    assert type(found).__module__.partition(".")[0] == backend
    columns = lists(found)
    rows = getattr(report, ROWS[what])() if what in ROWS else None
    if rows is not None:
        assert set(columns) <= set(rows[0]), "nothing is in a frame that is not in the rows"
        assert {len(column) for column in columns.values()} == {len(rows)}
    to = {"text": str, "decimal": Decimal, "float": float}[money]
    for name in ("net_profit", "total", "net", "price", "balance", "fees"):
        if name in columns:
            assert all(type(value) is to for value in columns[name] if value is not None)
            if rows is not None:
                assert columns[name] == [to(row[name]) for row in rows]


def test_money_as_text_and_as_decimals_is_exact(report, backend):
    exact = [row["net_profit"] for row in report.rows()]
    assert lists(report.to_frame(backend=backend))["net_profit"] == exact
    assert lists(report.to_frame(backend=backend, money="decimal"))["net_profit"] == [Decimal(text) for text in exact]


def test_times_are_utc_to_the_nanosecond(backend):
    rows = [{"at": 1_506_816_000_123_456_789}, {"at": 0}]
    found = frame({"at": "time"}, rows, backend=backend)
    import narwhals as nw

    column = nw.from_native(found)["at"]
    assert column.dtype == nw.Datetime("ns", "UTC")
    assert column.dt.timestamp("ns").to_list() == [row["at"] for row in rows]
    assert str(column.to_list()[0])[:19] == datetime.fromtimestamp(1_506_816_000, UTC).isoformat(" ")[:19]


def test_what_is_not_known_is_null_and_an_empty_table_keeps_its_columns(backend):
    desk, *_ = new_desk(QUIET)
    report = Report(desk)
    found = lists(report.to_frame(backend=backend))
    assert (found["sharpe"], found["win_rate"], found["net_profit"]) == ([None], [None], ["0"])
    for money in ("text", "decimal", "float"):
        empty = lists(report.to_frame("fills", backend=backend, money=money))
        assert list(empty)[:4] == ["record", "at", "sleeve", "symbol"] and set(map(len, empty.values())) == {0}


def test_the_series_frame_is_the_series_in_exact_text(report, backend):
    found = lists(report.to_frame("series", backend=backend))
    flash = [i for i, name in enumerate(found["sleeve"]) if name == "flash"]
    series = report.series("flash")
    assert len(flash) == len(series)
    for column in ("balance", "equity", "fees", "returned"):
        assert [float(found[column][i]) for i in flash] == [row[column] for row in series]


def test_other_names_are_refused(report):
    for wrong, told in (({"what": "pie"}, "no table"), ({"backend": "dask"}, "no backend"), ({"money": "cents"}, "money is")):
        with pytest.raises(VaultError, match=told):
            report.to_frame(**wrong)


@pytest.mark.parametrize(
    ("missing", "backend", "said"),
    [
        ("narwhals", "pandas", r"needs narwhals: .*sleeves\[frames\]"),
        ("pandas", "pandas", r"needs pandas: .*sleeves\[frames\]"),
        ("polars", "polars", r"needs polars: .*sleeves\[parquet\]"),
        ("pyarrow", "pyarrow", r"needs pyarrow: .*sleeves\[arrow\]"),
    ],
)
def test_without_the_libraries_it_says_how_to_get_them(report, monkeypatch, missing, backend, said):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=said):
        report.to_frame(backend=backend)


def test_returns_need_pandas(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"sleeves\[frames\]"):
        report.to_quantstats()


@pytest.mark.parametrize("backend", ["polars", "pyarrow"])
def test_parquet_is_read_back_as_it_was(report, backend, tmp_path):
    pytest.importorskip(backend)
    report.to_parquet(tmp_path / "fills.parquet", "fills", backend=backend)
    if importlib.util.find_spec("polars"):
        import polars

        found = polars.read_parquet(tmp_path / "fills.parquet").to_dict(as_series=False)
    else:
        import pyarrow.parquet

        found = pyarrow.parquet.read_table(tmp_path / "fills.parquet").to_pydict()
    assert found["price"] == [row["price"] for row in report.fills()]
    assert found["net"] == [row["net"] for row in report.fills()]
    with pytest.raises(VaultError, match="polars or pyarrow"):
        report.to_parquet(tmp_path / "x.parquet", backend="pandas")


# -- quantstats --------------------------------------------------------------------------------------------------------


def test_daily_returns_are_a_series_over_dates_without_a_zone(report):
    pandas = pytest.importorskip("pandas")
    found = report.to_quantstats("flash")
    assert isinstance(found.index, pandas.DatetimeIndex)
    assert found.index.tz is None and found.index.is_monotonic_increasing and found.index.is_unique
    assert (str(found.index[0].date()), str(found.index[-1].date())) == ("2017-10-01", "2018-03-31")
    assert list(found) == list(report.daily("flash").values())
    assert found.name == "flash" and str(found.dtype) == "float64"
    assert ((1 + found).prod() - 1) == pytest.approx(report.rows()[1]["return"])


def test_a_days_return_is_without_what_came_and_went():
    pytest.importorskip("pandas")
    from sleeves.market import DAY

    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    for day in range(1, 5):
        puppet.now = day * DAY
        desk.mark(puppet.now)
        if day == 2:
            vault.allocate(sleeve, "1000")
            carry(desk, puppet.buy("0.05", price="10000"))
        if day == 3:
            carry(desk, puppet.sell("0.05", price="12000"))
            vault.reclaim(sleeve, "500")
    found = Report(desk).to_quantstats()
    made = [round(value, 3) for value in found]
    assert sum(abs(value) > 0.01 for value in made) == 1, made
    assert max(made) == pytest.approx(0.05, abs=0.003), "100 on 2,000, less fees"


def test_quantstats_agrees_where_its_definitions_are_ours(report):
    """Sharpe, Sortino and the return are the same; its drawdown is at days' ends, ours at every mark, so ours is as deep or deeper."""
    stats = pytest.importorskip("quantstats", reason="no quantstats here").stats
    for row in report.rows():
        daily = report.to_quantstats(row["sleeve"])
        assert stats.sharpe(daily, periods=365) == pytest.approx(row["sharpe"])
        assert stats.sortino(daily, periods=365) == pytest.approx(row["sortino"])
        assert stats.comp(daily) == pytest.approx(row["return"])
        assert stats.cagr(daily, periods=365) == pytest.approx((1 + row["return"]) ** (365 / len(daily)) - 1)
        assert row["drawdown"] - 0.03 < -stats.max_drawdown(daily) <= row["drawdown"]
