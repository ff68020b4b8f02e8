"""The documentation tells the truth: every Python block runs, every printed output is the one that it prints.

    python tests/test_docs.py        writes the outputs and the tables of the pages anew, from the code as it is
                                     (with names of pages behind it, those alone)

Blocks of one page share a namespace and run in order, in an empty folder of their own. A text block that follows
directly after a Python block is what that block prints. A block whose first line names a file ("# asgi.py") is that file in
the folder, for a later block to run.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import io
import itertools
import os
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import attrs
import pytest

import leftovers
import sleeves
from sleeves import ledger, limits
from sleeves import status as statuses
from sleeves.dashboard import messages
from sleeves.engines import Trend
from sleeves.ledger import COIN_ROLES, GUARDED_ROLES, SLEEVE_ROLES, Role
from sleeves.market import DAY, MINUTE
from sleeves.orders import ORDER_TRANSITIONS, OrderStatus
from sleeves.sim import SAMPLE_INSTRUMENT
from sleeves.status import HOLDS, TRANSITIONS, Lifter, Move, Status

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted([*DOCS.rglob("*.md"), *([README] if README.exists() else [])])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

LEAST_BLOCKS = 45
MOST_SECONDS = 2.0


# -- reading a page ------------------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A fenced block: its info string, its text, and where the text starts and ends, as 0-based lines of the page."""

    info: str
    text: str
    start: int
    end: int
    indent: str


def blocks(page: str) -> list[Block]:
    found = []
    opened: tuple[str, str, int] | None = None
    lines = page.splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"( *)```(.*)$", line)
        if match is None:
            continue
        if opened is None:
            opened = match.group(1), match.group(2).strip(), number + 1
        else:
            indent, info, start = opened
            found.append(Block(info, textwrap.dedent("\n".join(lines[start:number])), start, number, indent))
            opened = None
    assert opened is None, f"the block opened in line {opened[2]} is never closed"
    return found


def prose(page: str) -> str:
    """The page with the lines of its fenced blocks left blank."""
    lines = page.splitlines()
    for block in blocks(page):
        lines[block.start : block.end] = [""] * (block.end - block.start)
    return "\n".join(lines)


class Ran(NamedTuple):
    block: Block
    output: str
    said: Block | None
    """The text block that says what is printed, if one follows directly."""
    seconds: float


def run(path: Path) -> Iterator[Ran]:
    """Run the Python blocks of a page in the current folder."""
    page = path.read_text(encoding="utf-8")
    lines = page.splitlines()
    found = blocks(page)
    names: dict[str, object] = {"__name__": "docs"}
    for block, after in zip(found, [*found[1:], None], strict=False):
        if block.info != "python":
            continue
        code = compile("\n" * block.start + block.text, str(path), "exec")  # a traceback names the line of the page
        if named := re.match(r"# ([a-z_]+\.py)\n", block.text):
            Path(named.group(1)).write_text(block.text, encoding="utf-8")
            continue
        printed, began = io.StringIO(), time.process_time()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        seconds = time.process_time() - began
        between = "" if after is None else "".join(lines[block.end + 1 : after.start - 1]).strip()
        said = after if after is not None and after.info == "text" and not between else None
        yield Ran(block, tidy(printed.getvalue()), said, seconds)


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


# -- tables that are drawn from the code -----------------------------------------------------------------------------------


def said_of_members(module: object, class_name: str) -> dict[str, str]:
    """The docstring behind each member of an enum."""
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name).body
    found = {}
    for member, after in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[member.targets[0].id] = str(after.value.value)  # type: ignore[attr-defined]
    return found


def roles_table() -> list[str]:
    said = said_of_members(ledger, "Role")
    rows = ["| role | coins that exist | a sleeve's alone | guarded | meaning |", "|---|---|---|---|---|"]
    for role in Role:
        marks = ["yes" if role in group else "" for group in (COIN_ROLES, SLEEVE_ROLES, GUARDED_ROLES)]
        rows.append(f"| `{role}` | {' | '.join(marks)} | {said[role.name]} |")
    return rows


def status_table() -> list[str]:
    rows = ["| from | new risk | exits | " + " | ".join(f"`{move}`" for move in Move) + " |", "|---" * (3 + len(Move)) + "|"]
    for status in Status:
        may = [("yes" if allowed else "no") for allowed in (status.may_open, status.may_exit)]
        leads = [f"`{TRANSITIONS[status, move]}`" if (status, move) in TRANSITIONS else "" for move in Move]
        rows.append(f"| `{status}` | {' | '.join([*may, *leads])} |")
    return rows


def holds_table() -> list[str]:
    said = said_of_members(limits, "Measure") | said_of_members(statuses, "Hold")
    rows = ["| cause | status | lifted by | the desk lets it rest | what it is |", "|---|---|---|---|---|"]
    for cause, rule in HOLDS.items():
        who = {Lifter.DESK: "the desk", Lifter.HUMAN: "a human", Lifter.EITHER: "the desk or a human"}[rule.lifted_by]
        rest = "until midnight UTC" if rule.rest_ns == DAY else f"{rule.rest_ns // MINUTE} min" if rule.rest_ns else ""
        rows.append(f"| `{cause}` | `{rule.status}` | {who} | {rest} | {said[cause.name]} |")
    return rows


def order_table() -> list[str]:
    rows = ["| from | " + " | ".join(f"`{status}`" for status in OrderStatus) + " |", "|---" * (1 + len(OrderStatus)) + "|"]
    for status in OrderStatus:
        rows.append(f"| `{status}` | {' | '.join('yes' if to in ORDER_TRANSITIONS[status] else '' for to in OrderStatus)} |")
    return rows


def sentence(kind: type) -> str:
    """The first sentence of a class's docstring, as a cell has it; nothing for attrs' own."""
    said = (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    return "" if said.startswith("Method generated") else re.split(r"(?<=\.) ", re.sub(r"\s+", " ", said))[0].replace("|", "\\|")


def rows_table() -> list[str]:
    rows = ["| table | a row is | columns |", "|---|---|---|"]
    for name, kind in messages.TABLES.items():
        columns = ", ".join(f"`{one.name}`" for one in attrs.fields(kind))
        rows.append(f"| `{name}` | {sentence(kind)} | {columns} |")
    return rows


def messages_table() -> list[str]:
    rows = ["| who says it | type | what it is | fields |", "|---|---|---|---|"]
    for who, kinds in (("server", messages.FROM_SERVER), ("page", messages.FROM_PAGE)):
        for name, kind in kinds.items():
            columns = ", ".join(f"`{one.name}`" for one in attrs.fields(kind))
            rows.append(f"| {who} | `{name}` | {sentence(kind)} | {columns} |")
    return rows


TABLES = {
    "roles": roles_table,
    "status": status_table,
    "holds": holds_table,
    "order-status": order_table,
    "page-rows": rows_table,
    "page-messages": messages_table,
}


def parts(page: str, name: str) -> tuple[str, str, str]:
    """The page before, between and behind the marks of a table."""
    before, mark, rest = page.partition(f"<!-- table {name} -->\n\n")
    between, end, behind = rest.partition("\n<!-- end of table -->")
    assert mark, f"the page has no table {name}"
    assert end, f"the table {name} has no end"
    return before + mark, between, end + behind


def drawn(name: str) -> str:
    return "\n".join(TABLES[name]()) + "\n"


# -- the tests -------------------------------------------------------------------------------------------------------------


def test_the_readme_is_there():
    assert README in PAGES


def test_there_are_enough_blocks():
    count = sum(block.info == "python" for page in PAGES for block in blocks(page.read_text(encoding="utf-8")))
    assert count >= LEAST_BLOCKS


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_block_says_what_it_is(path):
    """No Python block is left out: none has another info string than plain `python`."""
    for block in blocks(path.read_text(encoding="utf-8")):
        assert block.info in ("python", "text", "bash", "console"), f"line {block.start}: a block of {block.info!r}"


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """A page sets loggers as an application does, which has them to itself: its end is the end of that."""
    before = leftovers.loggers()
    yield
    leftovers.put_back(before)


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_python_block_runs_and_prints_what_the_page_says(path, tmp_path, monkeypatch, logging_as_it_was):
    monkeypatch.chdir(tmp_path)
    for ran in run(path):
        where = f"{path.relative_to(ROOT)}, line {ran.block.start}"
        assert ran.seconds < MOST_SECONDS, f"{where} took {ran.seconds:.1f} s"
        if ran.said is not None:
            assert ran.output == tidy(ran.said.text), f"{where} prints something else than the page says"


def test_a_block_that_is_a_file_is_used_by_another():
    """So that it is run as well: by name, or imported."""
    for path in PAGES:
        found = [block for block in blocks(path.read_text(encoding="utf-8")) if block.info == "python"]
        for block in found:
            if named := re.match(r"# (([a-z_]+)\.py)\n", block.text):
                name, stem = named.groups()
                others = "".join(other.text for other in found if other is not block)
                assert re.search(rf'"{re.escape(name)}"|"{stem}"|^import {stem}$', others, re.MULTILINE), f"{path.name}: {name} is not used"


def test_an_output_that_is_not_printed_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    (ran,) = run(page)
    assert (ran.output, ran.said.text) == ("2", "3")


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_code(name):
    pages = [page for page in PAGES if f"<!-- table {name} -->" in page.read_text(encoding="utf-8")]
    assert len(pages) == 1
    assert parts(pages[0].read_text(encoding="utf-8"), name)[1] == drawn(name)


def diagrams() -> ModuleType:
    """The script that draws the pictures; it stands beside the pages, where no import finds it."""
    spec = importlib.util.spec_from_file_location("diagrams", DOCS / "_ext" / "diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(path.stem for path in (DOCS / "diagrams").glob("*.svg")))
def test_the_diagrams_are_those_of_the_code(name):
    """Drawn anew by: PYTHONPATH=tests python docs/_ext/diagrams.py"""
    assert (DOCS / "diagrams" / f"{name}.svg").read_text(encoding="utf-8") == diagrams().DIAGRAMS[name]()


def test_every_diagram_is_drawn_and_shown_on_a_page():
    """Each is a file, has words for who cannot see it, asks for nothing from elsewhere, and stands on a page."""
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in diagrams().DIAGRAMS:
        drawn = (DOCS / "diagrams" / f"{name}.svg").read_text(encoding="utf-8")
        assert f'--8<-- "docs/diagrams/{name}.svg"' in shown
        assert re.search(r'role="img" [^>]*aria-label="[^"]{40,}"', drawn)
        assert "\n\n" not in drawn
        assert set(re.findall(r"[a-z]+://[^\"]+", drawn)) == {"http://www.w3.org/2000/svg"}


def test_the_parameters_of_trend_are_those_of_the_code():
    page = (DOCS / "engines" / "trend.md").read_text(encoding="utf-8")
    engines = (Trend(SAMPLE_INSTRUMENT), Trend.quiet(SAMPLE_INSTRUMENT), Trend.flash(SAMPLE_INSTRUMENT))
    said = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| .+ \|$", page, re.MULTILINE)}
    names = [a.name for a in Trend.__attrs_attrs__ if a.name != "instrument"]  # type: ignore[attr-defined]
    assert list(said) == names
    for name in names:
        assert [shown(getattr(engine, name)) for engine in engines] == list(said[name]), name


def shown(value: object) -> str:
    """A parameter as the page writes it: rates in percent, times in seconds or minutes."""
    if isinstance(value, float):
        return f"{value * 100:.4g}%"
    if isinstance(value, int):
        seconds = value // 1_000_000_000
        return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"
    return str(value)


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown makes it."""
    kept = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"[-\s]+", "-", kept)


def anchors(path: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)}


def documented(anchor: str) -> bool:
    """Whether an anchor of the API reference names something that is there."""
    parts = anchor.split(".")
    for cut in range(len(parts), 0, -1):
        with contextlib.suppress(ImportError):
            found: object = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                if not hasattr(found, part):
                    return False
                found = getattr(found, part)
            return True
    return False


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_links_inside_lead_somewhere(path):
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), f"{target} leads nowhere"
        if anchor.startswith("sleeves."):
            assert documented(anchor), f"{target} names nothing"
            assert any(anchor.startswith(f"{name}.") for name in modules_of(page)), f"{target} is not on that page"
        elif page.suffix == ".png":
            assert anchor in ("", "only-light", "only-dark"), f"{target} is shown on no page"
        elif anchor:
            assert anchor in anchors(page), f"{target} names no heading there"


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_pictures_have_words_and_come_for_both_themes(path):
    """For those who cannot see them, and for those who read in the dark."""
    shown = re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8")))
    targets = {target for _, target in shown}
    for words, target in shown:
        assert len(words) >= 30, f"{target} needs words that say what is seen"
        for one, other in (("light", "dark"), ("dark", "light")):
            if target.endswith(f"#only-{one}"):
                like = target.replace(f"-{one}.png#only-{one}", f"-{other}.png#only-{other}")
                assert like in targets, f"{target} has no like in the other theme"


def modules_of(page: Path) -> list[str]:
    """The modules that a page of the API reference shows."""
    return re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_public_name_is_in_the_reference():
    shown = [importlib.import_module(name) for page in (DOCS / "reference").glob("*.md") for name in modules_of(page)]
    for name in sleeves.__all__:
        assert any(name in module.__all__ for module in shown), f"{name} is on no page of the reference"


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f": {page.relative_to(DOCS).as_posix()}\n" in navigation


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "mkdocs.yml"], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_points_at_one_machine(path):
    found = re.findall(r"localhost|127\.0\.0\.1|(?<![\w.])/(?:work|tmp|home|root|usr|opt)/|[A-Z]:\\", path.read_text(encoding="utf-8"))
    assert not found


def test_the_readme_and_the_first_page_show_the_same_quickstart():
    """The same steps; a quickstart for two sleeves has at most 12 lines."""

    def steps(path: Path) -> list[str]:
        code = next(block.text for block in blocks(path.read_text(encoding="utf-8")) if block.info == "python")
        return [line for line in code.splitlines() if line.strip()]

    readme, first = steps(README), steps(DOCS / "index.md")
    assert len(first) <= 12
    assert [line for line in readme if " import " not in line] == [line for line in first if " import " not in line]


def test_the_changelog_knows_this_version():
    assert f"## {sleeves.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# -- writing the outputs anew ------------------------------------------------------------------------------------------------


def written_anew(path: Path) -> str:
    page = path.read_text(encoding="utf-8")
    lines = page.splitlines()
    for ran in reversed(list(run(path))):
        if ran.said is not None:
            lines[ran.said.start : ran.said.end] = [(ran.said.indent + line).rstrip() for line in ran.output.splitlines()]
    page = "\n".join(lines) + "\n"
    for name in TABLES:
        if f"<!-- table {name} -->" in page:
            before, _, behind = parts(page, name)
            page = before + drawn(name) + behind
    return page


def main() -> None:
    """Writes those pages anew whose name has one of the words that were handed in; all of them without one."""
    for path in PAGES:
        if sys.argv[1:] and not any(word in str(path) for word in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            anew = written_anew(path)
            os.chdir(ROOT)
        if anew != path.read_text(encoding="utf-8"):
            path.write_text(anew, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
