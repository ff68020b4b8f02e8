"""The house keeps its shape: who may import whom, read from the source with `ast`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "sleeves"

ORDER = [
    "errors",
    "making",
    "money",
    "markup",
    "progress",
    "market",
    "amm",
    "sizing",
    "quoting",
    "dual",
    "routing",
    "news",
    "facts",
    "orders",
    "margin",
    "funding",
    "funding_quotes",
    "liquidation",
    "settlement",
    "ledger",
    "records",
    "flight",
    "codec",
    "journal",
    "booking",
    "daybook",
    "contracts",
    "swaps",
    "status",
    "policy",
    "state",
    "books",
    "sleeve",
    "vault",
    "standings",
    "trades",
    "treasury",
    "shares",
    "register",
    "charges",
    "subvaults",
    "megavault",
    "protocols",
    "keys.secret",
    "keys.sources",
    "keys.nonces",
    "keys.rights",
    "keys.health",
    "keys.sets",
    "keys.ring",
    "keys",
    "venues.ids",
    "venues.checkup",
    "venues.wire",
    "venues.rate",
    "venues.retry",
    "venues.solana",
    "venues.jito",
    "venues.kraken",
    "venues.ccxt",
    "venues.jupiter",
    "venues.drift",
    "venues.doctor",
    "venues",
    "risk",
    "verify",
    "export",
    "fold",
    "explain",
    "tearsheet",
    "proof",
    "exposure",
    "gates",
    "guards",
    "caps",
    "seating",
    "seat",
    "blotter",
    "bundles",
    "netting",
    "stops",
    "answers",
    "inside",
    "arming",
    "limits",
    "transfers",
    "passages",
    "reconcile",
    "aftermath",
    "desk",
    "plots",
    "report",
    "riskview",
    "alerts",
    "logs",
    "engines",
    "sim.columns",
    "sim.cells",
    "sim.reading",
    "sim.depth",
    "sim.contents",
    "sim.arrow",
    "sim.tapefile",
    "sim.tape",
    "sim.book",
    "sim.flow",
    "sim.models",
    "sim.account",
    "sim.matcher",
    "sim.book_market",
    "sim.past",
    "sim.exchange",
    "sim.trips",
    "sim.lane",
    "sim.replay",
    "sim.driver",
    "sim.faults",
    "sim",
    "inbox",
    "tracing",
    "shell",
    "recovery",
    "sim.trial",
    "watchdog",
    "pulse",
    "metrics",
    "live",
    "instructions",
    "control",
    "sim.drill",
    "testing.script",
    "testing.offer",
    "testing.fold",
    "testing.stage",
    "testing.scenes",
    "testing.words",
    "testing.promises",
    "testing.suite",
    "testing.serving",
    "testing.kraken_server",
    "testing.solana_server",
    "testing.jito_server",
    "testing.jupiter_server",
    "testing.drift_server",
    "testing.plans",
    "testing",
    "past.table",
    "past.cells",
    "past.history",
    "past.trade",
    "past.rules",
    "past.attribution",
    "past.audit",
    "past.kraken",
    "past.unified",
    "past.columns",
    "past",
    "sweeps",
    "tuning",
    "journals.chained",
    "journals.sqlite",
    "journals.postgres",
    "journals",
    "demo",
    "dashboard.messages",
    "dashboard.schema",
    "dashboard.history",
    "dashboard.picture",
    "dashboard.feed",
    "dashboard.bundle",
    "dashboard.guard",
    "dashboard.preview",
    "dashboard.clerk",
    "dashboard.openapi",
    "dashboard.door",
    "dashboard.socket",
    "dashboard.routes",
    "dashboard.app",
    "dashboard.serve",
    "dashboard.widget",
    "dashboard.demo",
    "dashboard",
    "cli",
    "__main__",
]
"""Every module may import only what stands before it. A package's own name stands for the rest of it."""

NO_IO = {"anyio", "asyncio", "httpx", "socket", "time", "random", "requests", "krakenex", "driftpy", "solana", "ccxt", "threading"}
SHELL = {
    "__main__",
    "alerts",
    "cli",
    "control",
    "inbox",
    "keys.ring",
    "live",
    "pulse",
    "recovery",
    "shell",
    "sim.driver",
    "sim.drill",
    "sim.trial",
    "sweeps",
    "testing.drift_server",
    "testing.jito_server",
    "testing.jupiter_server",
    "testing.kraken_server",
    "testing.serving",
    "testing.solana_server",
    "tracing",
    "watchdog",
}
"""Who may wait, and look at a clock; a package here stands for all its modules."""
EXTRAS = {
    "anywidget": ("dashboard.widget",),
    "apprise": ("alerts",),
    "ccxt": ("venues.ccxt",),
    "cloudpickle": ("sweeps.crew",),
    "cryptography": ("keys.sources",),
    "driftpy": ("venues.drift.driftpy",),
    "httpx": ("venues.wire", "venues.kraken.socket", "venues.solana.pubsub"),
    "httpx_ws": ("venues.kraken.socket", "venues.solana.pubsub"),
    "keyring": ("keys.sources",),
    "krakenex": ("venues.kraken.transport",),
    "narwhals": ("export",),
    "numpy": ("engines.passes", "sim.columns"),
    "opentelemetry": ("tracing",),
    "optuna": ("tuning.search",),
    "pandas": ("export",),
    "plotly": ("plots",),
    "polars": ("export",),
    "prometheus_client": ("metrics",),
    "psycopg": ("journals.postgres",),
    "pyarrow": ("sim.arrow",),
    "solders": (
        "venues.solana",
        "venues.drift",
        "testing.solana_server",
        "testing.jupiter_server",
        "testing.jito_server",
        "testing.drift_server",
    ),
    "stamina": ("venues.retry",),
    "starlette": (
        "dashboard",
        "testing.serving",
        "testing.kraken_server",
        "testing.solana_server",
        "testing.jupiter_server",
        "testing.jito_server",
        "testing.drift_server",
    ),
    "tqdm": ("progress",),
    "traitlets": ("dashboard.widget",),
    "uvicorn": ("testing.serving", "dashboard.serve"),
}
"""Each optional library is imported in one place only; a package here stands for all its modules."""
LATE = {("desk", "dashboard.widget")}
"""A convenience that people call by name, imported when it is called: nothing that the module itself stands on."""


def under(name, homes):
    return any(name == home or name.startswith(home + ".") for home in homes)


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imports(name, path):
    """Names of modules that a module imports, ours without the leading package; those for type checking alone left out."""
    tree = ast.parse(path.read_text())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    if name == "__init__":
        package = ""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module
                continue
            parts = [part for part in package.split(".") if part]
            base = parts[: len(parts) - node.level + 1]
            target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            if node.module:
                yield "sleeves." + target
            else:
                for alias in node.names:
                    if (ROOT.joinpath(*base, alias.name)).is_dir() or (ROOT.joinpath(*base, alias.name + ".py")).is_file():
                        yield "sleeves." + ".".join([*base, alias.name])


def ours(name, path):
    for target in imports(name, path):
        if target.startswith("sleeves."):
            yield target.removeprefix("sleeves.")


def rank(name):
    """The place of a module in ORDER; a module of a package without a place of its own has its package's."""
    while name and name not in ORDER:
        name = name.rpartition(".")[0]
    return ORDER.index(name) if name else None


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_what_stands_before_it(name, path):
    if name in ("__init__", "data"):
        return
    place = rank(name)
    assert place is not None, f"{name} has no place in the house: give it one in ORDER, and in DESIGN terms a reason"
    for target in ours(name, path):
        other = rank(target)
        same_package = target.partition(".")[0] == name.partition(".")[0]
        assert other is not None, f"{name} imports {target}, which has no place"
        late = any(name == who and target == what for who, what in LATE)
        assert late or other < place or (same_package and other <= place), f"{name} imports {target}, which stands behind it"


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_only_the_shell_does_io(name, path):
    if under(name, SHELL) or name.startswith(("venues", "dashboard", "journals")):
        return
    found = {target.partition(".")[0] for target in imports(name, path)} & NO_IO
    assert not found, f"{name} must hand these in: {found}"


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_an_optional_library_is_used_in_one_module(name, path):
    for target in imports(name, path):
        homes = EXTRAS.get(target.partition(".")[0])
        assert homes is None or under(name, homes), f"{name} imports {target}: only {homes} may"


def test_engines_see_a_view_and_nothing_that_they_could_move():
    for name, path in modules():
        if name.startswith("engines"):
            forbidden = {"ledger", "vault", "desk", "sim", "venues", "live", "books", "booking", "treasury", "seat"}
            assert not {target.partition(".")[0] for target in ours(name, path)} & forbidden


def test_venues_know_neither_engines_nor_books_nor_each_other():
    allowed = {"errors", "money", "market", "news", "facts", "orders", "amm", "margin", "protocols", "keys"}
    allowed |= {"funding", "funding_quotes", "settlement", "liquidation"}  # pure figures
    shared = {"venues.ids", "venues.checkup", "venues.wire", "venues.rate", "venues.retry", "venues.solana", "venues.jito"}
    for name, path in modules():
        if name.startswith("venues.") and name != "venues.doctor":
            for target in ours(name, path):
                own = ".".join(target.split(".")[:2])
                same = own == ".".join(name.split(".")[:2])
                assert same or own in shared or target.partition(".")[0] in allowed, f"{name} imports {target}"


def test_the_root_imports_no_venue_no_dashboard_and_no_extra():
    path = ROOT / "__init__.py"
    targets = set(imports("__init__", path))
    assert not [t for t in targets if t.startswith(("sleeves.venues", "sleeves.dashboard", "sleeves.live", "sleeves.plots"))]


def test_importing_the_library_loads_no_optional_package():
    import subprocess
    import sys

    found = {
        "plotly",
        "tqdm",
        "numpy",
        "pandas",
        "polars",
        "pyarrow",
        "cryptography",
        "keyring",
        "apprise",
        "prometheus_client",
        "opentelemetry",
    }
    found |= {"httpx", "httpx_ws", "krakenex", "ccxt", "solders", "driftpy", "stamina", "starlette", "uvicorn", "optuna", "pyarrow"}
    ours = "sleeves, sleeves.sim, sleeves.tuning, sleeves.engines, sleeves.keys, sleeves.alerts, sleeves.control, sleeves.live"
    code = f"import sys, {ours}; print(sorted({found!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_float_literal_in_the_books():
    for name in ("money", "ledger", "booking", "books", "vault", "policy", "treasury", "quoting", "shares", "register", "megavault"):
        tree = ast.parse((ROOT / f"{name}.py").read_text())
        floats = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)]
        assert not floats, f"{name}: float literal in line {floats}"


def test_every_module_says_what_it_is_for():
    for name, path in modules():
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, f"{name} has no docstring"
        assert len(docstring) > 15, name
