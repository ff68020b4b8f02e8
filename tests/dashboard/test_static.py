"""The page's files as they are shipped: what they may import, what they must never do, and what they weigh.

They are read here and not run; what they do in a browser is tested in `browser/`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import sleeves

STATIC = Path(sleeves.__file__).parent / "dashboard" / "static"
MODULES = sorted(STATIC.glob("*.js"))
OURS = sorted(path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.relative_to(STATIC).parts)
MOST_BYTES = 300_000
ROOT = Path(__file__).parents[2]

IMPORT = re.compile(r'import (?:\{ [\w$]+(?: as [\w$]+)?(?:, [\w$]+(?: as [\w$]+)?)* \} from |[\w$]+ from )?"(\./(?:vendor/)?[\w-]+\.js)";')
"""The forms of an import that `bundle` links: named, default or for its effect alone, from a file beside."""

NEVER = {
    r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe|srcdoc)\b": "markup from text",
    r"\bDOMParser\b": "markup from text",
    r"\bdocument\.write": "markup from text",
    r"\beval\s*\(": "code from text",
    r"\bnew Function\b": "code from text",
    r"\bset(?:Timeout|Interval)\(\s*[\"'`]": "code from text",
    r"\bimport\s*\(": "code that is fetched when it pleases",
    r"\bimport\.meta\b": "a path that a bundle does not have",
    r"\b(?:localStorage|sessionStorage|indexedDB|document\.cookie)\b": "something kept in the reader's browser",
    r"\b(?:XMLHttpRequest|EventSource|sendBeacon)\b": "a request of its own",
    r"javascript:": "code in an address",
    r"\bconsole\.": "words for nobody",
    r"\bdebugger\b": "a halt",
}
MAY = {"WebSocket": {"socket.js"}, "fetch(": {"sleeves-page.js", "socket.js"}}
"""Who may speak to the server: the socket, which also asks whether its token still counts, and the page that signs out."""
NAMESPACES = {"http://www.w3.org/2000/svg"}


def code_of(path: Path) -> str:
    """A module without its comments."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE)


def node() -> str | None:
    """A node to parse with: the system's, or the one that Playwright's package brings along."""
    found = shutil.which("node")
    if found is not None:
        return found
    try:
        import playwright
    except ImportError:
        return None
    brought = Path(playwright.__file__).parent / "driver" / "node"
    return str(brought) if brought.exists() else None


def test_there_is_a_page() -> None:
    names = {path.name for path in MODULES}
    parts = "engine-vault-card core-vault-card inventory-view sleeve-chart position-table health-gauge funding-table"
    parts += " order-log alert-list book-view"
    assert {f"{part}.js" for part in parts.split()} <= names
    assert {"index.js", "store.js", "socket.js", "element.js", "format.js", "sleeves-desk.js", "sleeves-page.js"} <= names


@pytest.mark.skipif(node() is None, reason="no node here: neither on the path nor in Playwright's package")
def test_every_module_parses() -> None:
    program = node()
    assert program is not None
    faults = {}
    for path in MODULES:
        ran = subprocess.run(
            [program, "--input-type=module", "--check"], input=path.read_bytes(), capture_output=True, timeout=60, check=False
        )
        if ran.returncode:
            faults[path.name] = ran.stderr.decode()[:500]
    assert not faults


@pytest.mark.skipif(node() is None, reason="no node here: neither on the path nor in Playwright's package")
def test_a_fault_would_be_found() -> None:
    program = node()
    assert program is not None
    ran = subprocess.run([program, "--input-type=module", "--check"], input=b"const = 1;", capture_output=True, timeout=60, check=False)
    assert ran.returncode


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_imports_are_of_the_one_form_and_stand_at_the_top(path: Path) -> None:
    lines = code_of(path).splitlines()
    said = [line for line in lines if line.startswith("import") or re.search(r"\bfrom [\"'`]", line)]
    for line in said:
        found = IMPORT.fullmatch(line)
        assert found, f"{path.name}: {line!r}"
        assert (STATIC / found[1]).is_file(), f"{path.name} imports {found[1]}, which is not there"
    first = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("import")), len(lines))
    assert not [line for line in lines[first:] if line.startswith("import")], f"{path.name}: an import below the code"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_is_imported_for_names_it_does_not_export(path: Path) -> None:
    for line in code_of(path).splitlines():
        found = re.fullmatch(r'import \{ (.*) \} from "\./([\w-]+\.js)";', line)
        if found is None:
            continue
        exported = set(re.findall(r"^export (?:async )?(?:const|let|class|function\*?) ([\w$]+)", code_of(STATIC / found[2]), re.MULTILINE))
        for group in re.findall(r"^export \{ (.*) \}", code_of(STATIC / found[2]), re.MULTILINE):
            exported |= {name.split(" as ")[-1].strip() for name in group.split(",")}
        wanted = {name.split(" as ")[0].strip() for name in found[1].split(",")}
        assert wanted <= exported, f"{path.name} wants {wanted - exported} of {found[2]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_what_is_imported_is_used(path: Path) -> None:
    code = code_of(path)
    body = "\n".join(line for line in code.splitlines() if not line.startswith("import"))
    for line in code.splitlines():
        if line.startswith("import "):
            names = re.findall(r"[\w$]+", line.removeprefix("import").rpartition(" from ")[0].replace(" as ", " "))
            unused = [name for name in names if not re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", body)]
            assert not unused, f"{path.name} imports {unused} and does not use it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_nothing_makes_markup_or_code_from_text_or_asks_for_anything(path: Path) -> None:
    code = code_of(path)
    for pattern, why in NEVER.items():
        found = re.search(pattern, code)
        assert found is None, f"{path.name}: {found and found[0]!r} is {why}"
    for way, names in MAY.items():
        assert way not in code or path.name in names, f"{path.name} uses {way}"


def test_no_file_names_another_host() -> None:
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:https?:|wss?:)?//[\w-]+(?:\.[\w-]+)+[^\s\"'`)<>]*", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)))
        assert named <= NAMESPACES, f"{path.name} names {named - NAMESPACES}"
        assert not re.search(r"@import|url\(", text), f"{path.name} takes in a file"


def test_the_page_has_no_script_or_style_of_its_own_inside() -> None:
    for path in STATIC.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), f"{path.name}: a script inside, which its policy would refuse"
        assert not re.search(r"<style|\sstyle=|\son\w+=", text), f"{path.name}: a style or a listener inside, which its policy would refuse"


def test_each_element_is_defined_once_and_by_the_guarded_way() -> None:
    defined: dict[str, list[str]] = {}
    for path in MODULES:
        code = code_of(path)
        for tag in re.findall(r'(?<![\w.])define\("([\w-]+)"', code):
            defined.setdefault(tag, []).append(path.name)
        if "customElements.define" in code:
            assert path.name == "element.js", f"{path.name} defines an element past the guard"
    assert {tag: names for tag, names in defined.items() if names != [f"{tag}.js"]} == {}
    assert "customElements.get(name) === undefined" in (STATIC / "element.js").read_text(encoding="utf-8")


def test_the_charts_library_is_what_was_published() -> None:
    readme = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    sums = dict(re.findall(r"^\| `([\w.]+)` \|.*\| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    assert set(sums) == {"uplot.js", "uplot.css"}
    script = (STATIC / "vendor" / "uplot.js").read_bytes()
    ours = b"\nexport default uPlot;\n"
    assert script.endswith(ours)
    assert hashlib.sha256(script.removesuffix(ours)).hexdigest() == sums["uplot.js"]
    assert hashlib.sha256((STATIC / "vendor" / "uplot.css").read_bytes()).hexdigest() == sums["uplot.css"]
    assert "MIT" in (STATIC / "vendor" / "uplot.LICENSE.txt").read_text(encoding="utf-8")


def test_the_text_of_its_styles_is_the_file() -> None:
    found = re.search(r'export const UPLOT_CSS =\s*(".*");', (STATIC / "vendor-css.js").read_text(encoding="utf-8"))
    assert found
    assert json.loads(found[1]) == (STATIC / "vendor" / "uplot.css").read_text(encoding="utf-8")


def test_the_page_weighs_less_than_was_promised() -> None:
    sizes = {
        path.relative_to(STATIC).as_posix(): path.stat().st_size for path in STATIC.rglob("*") if path.suffix in {".js", ".css", ".html"}
    }
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_the_files_are_in_the_wheel() -> None:
    """The wheel takes all of the package that git keeps; so nothing of the page may be ignored by git, and nothing excluded."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "src/sleeves" in build["packages"]
    assert not {"exclude", "only-include"} & set(build)
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout here")
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *map(str, STATIC.rglob("*"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ignored.stdout == ""


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_files_are_plain_text(path: Path) -> None:
    text = path.read_bytes().decode("utf-8")
    assert "\r" not in text and "\t" not in text
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\ufeff]", text), "letters that turn the reading direction"
