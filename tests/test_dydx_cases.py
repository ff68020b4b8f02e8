"""dYdX's own table cases, run on this library. They are no part of this project.

The environment variable SLEEVES_DYDX_CASES names the folder that holds them, one file per area; without it they are taken
from `../shared/cases/dydx` beside the project, where that is, and skipped with a word where it is not. Beside the folder may
lie `dydx_edges.json`, with cases whose `schema` names their area. Areas that are not modeled are named with the reason.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

import dydx_pool
import dydx_quoting

VARIABLE = "SLEEVES_DYDX_CASES"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "cases" / "dydx"

LEFT_OUT = {
    "authority": "who may send which message is the chain's governance",
    "message_validation": "the shape of the chain's messages",
    "vault_id": "the chain's keys of its store",
    "listing_deposit": "listing a market against a deposit is the chain's own module",
}
QUOTING = [
    "skew_antiderivative",
    "spread",
    "orders",
    "order_ids",
    "client_id",
    "price_to_subticks",
    "quantums",
    "rounding",
    "quoting_params",
    "effective_quoting_params",
    "withdraw_slippage",
    "refresh_vault",
    "refresh_all",
    "refresh_book",
]
POOL = [
    "mint_shares",
    "deposit",
    "megavault_equity",
    "vault_equity",
    "owner_equity",
    "lock_shares",
    "unlock_shares",
    "locked_total",
    "redeem",
    "withdrawal_info",
    "set_vault_params",
    "allocate",
    "retrieve",
    "decommission",
    "sweep",
]
RUN = {area: getattr(module, f"run_{area}") for module, areas in ((dydx_quoting, QUOTING), (dydx_pool, POOL)) for area in areas}


def folder():
    """Where the cases are; None where there are none."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return BESIDE if BESIDE.is_dir() else None


def cases():
    """(area, number, case) of every file of the folder, and of the edges beside it."""
    where = folder()
    if where is None:
        return
    for path in sorted(where.glob("*.json")):
        body = json.loads(path.read_text("utf-8"))
        if path.stem == "dydx_edges":
            yield from ((one["schema"], f"edge {n}", one) for n, one in enumerate(body["cases"]))
        else:
            yield from ((path.stem, n, one) for n, one in enumerate(body["cases"]))
    edges = where.parent / "dydx_edges.json"
    if edges.is_file():
        yield from ((one["schema"], f"edge {n}", one) for n, one in enumerate(json.loads(edges.read_text("utf-8"))["cases"]))


def given():
    found = [pytest.param(area, case, id=f"{area}-{n}-{case.get('name', '')}"[:120]) for area, n, case in cases()]
    if found:
        return found
    reason = f"{VARIABLE} is not set and there is no ../shared/cases/dydx: it names the folder of dYdX's cases"
    return [pytest.param("none", {}, id="no-cases", marks=pytest.mark.skip(reason=reason))]


TALLY: dict[str, Counter[str]] = {}


@pytest.fixture(scope="module", autouse=True)
def tally(request):
    """Print, per area, how many cases were run, passed and skipped."""
    yield
    if not TALLY:
        return
    lines = ["", f"{'area':<26}{'run':>6}{'passed':>8}{'skipped':>9}"]
    for area in sorted(TALLY):
        count = TALLY[area]
        lines.append(f"{area:<26}{count['run']:>6}{count['passed']:>8}{count['skipped']:>9}")
    whole = sum(TALLY.values(), Counter())
    lines.append(f"{'all':<26}{whole['run']:>6}{whole['passed']:>8}{whole['skipped']:>9}")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write("\n".join([*lines, ""]))


@pytest.mark.parametrize(("area", "case"), given())
def test_a_case_of_dydx(area, case):
    count = TALLY.setdefault(area, Counter())
    if area in LEFT_OUT:
        count["skipped"] += 1
        pytest.skip(f"{area} is left out: {LEFT_OUT[area]}")
    assert area in RUN, f"{area} is an area that nobody knows here: model it, or name it with the reason in LEFT_OUT"
    count["run"] += 1
    RUN[area](case)
    count["passed"] += 1


def test_every_area_of_the_folder_is_known():
    where = folder()
    if where is None:
        pytest.skip(f"{VARIABLE} is not set: it names the folder of dYdX's cases")
    areas = {area for area, _, _ in cases()}
    assert areas, f"{where} holds no cases"
    assert areas <= RUN.keys() | LEFT_OUT.keys(), f"areas that nobody knows here: {areas - RUN.keys() - LEFT_OUT.keys()}"
