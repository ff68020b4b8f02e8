"""The page's modules in one text, and a desk as one file: what is linked, what is refused, and what no name can break out of."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

import pytest
from stand import make_desk

from sleeves.dashboard.bundle import link, page, save, source
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import to_json
from sleeves.errors import VaultError

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>\u2028"


def reader(**modules: str):
    texts = {f"{name}.js": text for name, text in modules.items()}

    def read(name: str) -> str:
        if name not in texts:
            raise VaultError(f"no {name}")
        return texts[name]

    return read


def order_in(text: str) -> list[str]:
    return re.findall(r"^// ([\w./-]+\.js)\nconst \$m\d+ = ", text, re.MULTILINE)


def run(text: str) -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here; the linked page runs in the browser's tests")
    done = subprocess.run([node, "--input-type=module"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- linking -------------------------------------------------------------------------------------------------------------------


def test_each_module_stands_once_and_after_all_that_it_needs():
    text = link("index.js")
    order = order_in(text)
    assert len(order) == len(set(order)) and order[-1] == "index.js"
    for name in order:
        for path in re.findall(r'^import .*"\./([\w./-]+\.js)";', source(name), re.MULTILINE):
            assert order.index(path) < order.index(name)
    assert not re.search(r"^(import|export) (?!const )", text, re.MULTILINE)


def test_the_same_modules_give_the_same_text():
    first = link("index.js")
    link.cache_clear()
    assert link("index.js") == first


def test_what_the_entry_exports_is_exported_and_nothing_else():
    text = link("store.js")
    names = re.findall(r"^export const (\w+) = \$m\d+\.(\w+);$", text, re.MULTILINE)
    assert sorted(one for one, _ in names) == sorted(
        re.findall(r"^export (?:class|function|const) (\w+)", source("store.js"), re.MULTILINE)
    )
    assert "export default" not in text


def test_a_linked_module_does_what_the_modules_do():
    read = reader(
        top='// the entry\nimport { twice as doubled, Two } from "./low.js";\nimport low from "./low.js";\nimport "./effect.js";\n'
        "\nexport const four = doubled(2);\nexport class Big extends Two {}\nconst hidden = low;\nexport { hidden };\n"
        "export default [low, four];\n",
        low="export function twice(x) {\n  return 2 * x;\n}\nexport class Two {\n  two = 2;\n}\nconst own = 1;\nexport default own;\n",
        effect="globalThis.effects = (globalThis.effects ?? 0) + 1;\nconst own = 7;\n",
    )
    text = link("top.js", read)
    default = f"$m{order_in(text).index('top.js')}.default"
    told = f"console.log(JSON.stringify([four, new Big().two, hidden, {default}, globalThis.effects]));"
    assert json.loads(run(f"{text}\n{told}")) == [4, 2, 1, [1, 4], 1]


def test_the_charts_library_is_linked_as_it_was_published():
    assert source("vendor/uplot.js").split("\n")[0] in link("sleeve-chart.js")


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        ({"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\n'}, r"ring: a\.js -> b\.js -> a\.js"),
        ({"a": 'import { b } from "https://example.org/b.js";\n'}, "form that is not read"),
        ({"a": 'import * as b from "./b.js";\n', "b": ""}, "form that is not read"),
        ({"a": 'import b, { c } from "./b.js";\n', "b": ""}, "form that is not read"),
        ({"a": 'import {\n  b,\n} from "./b.js";\n', "b": ""}, "form that is not read"),
        ({"a": 'import { b } from "./b.js";\n'}, "no b.js"),
        ({"a": "export let b = 1;\n"}, "exports in a form"),
        ({"a": 'export * from "./b.js";\n', "b": ""}, "exports in a form"),
        ({"a": "const b = 1;\nexport { b as c };\n"}, "exports in a form"),
        ({"a": 'const b = "</script>";\n'}, "end a script"),
        ({"a": 'const b = "<!--";\n'}, "end a script"),
    ],
)
def test_what_cannot_be_linked_is_refused_and_not_half_done(modules, says):
    with pytest.raises(VaultError, match=says):
        link("a.js", reader(**modules))


@pytest.mark.parametrize(
    "name", ["../bundle.py", "/etc/hosts", "store.js/..", "nothing.js", "", "vendor", "a/../store.js", "Store.js", "./store.js"]
)
def test_only_files_of_the_page_are_read(name):
    with pytest.raises(VaultError, match=r"is no file of the page|the page has no file"):
        source(name)


def test_the_page_weighs_under_300_kB_with_its_charts_library():
    folder = Path(__file__).parents[2] / "src/sleeves/dashboard/static"
    asked = {"index.html", "theme.css", *order_in(link("index.js"))}
    weight = sum((folder / name).stat().st_size for name in asked)
    assert weight < 300_000
    assert len(link("index.js").encode()) < 300_000


# -- one file -------------------------------------------------------------------------------------------------------------------


class Parts(HTMLParser):
    """The elements of a page as a browser reads them, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._open = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        at = len(self.tags) - 1
        if self._open:
            self.texts[at] = self.texts.get(at, "") + data

    def of(self, tag: str, **wanted: str) -> str:
        found = [at for at, (name, attrs) in enumerate(self.tags) if name == tag and all(attrs.get(k) == v for k, v in wanted.items())]
        assert len(found) == 1, (tag, wanted, len(found))
        return self.texts.get(found[0], "")


def hashed(text: str) -> str:
    return "'sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_a_desk_becomes_a_page_that_holds_its_snapshot_whole():
    stand = make_desk(engines=2, contracts=True, hostile=True)
    stand.play(60)
    feed = Feed(stand.desk, title="Main")
    told = feed.snapshot()
    parts = Parts(page(told))
    held = json.loads(parts.of("script", type="application/json"))
    assert held["tables"]["sleeves"].keys() == stand.sleeves.keys()
    assert held["tables"]["vaults"][stand.vault.owner]["total"] == stand.vault.total.text
    assert parts.of("title") == "Main" == held["title"]
    assert held["commands"] is False
    feed.close()


def test_a_desk_a_feed_a_snapshot_and_plain_data_give_the_same_figures():
    stand = make_desk(engines=1)
    stand.play(30)
    feed = Feed(stand.desk)
    told = feed.snapshot()
    kinds = (stand.desk, feed, told, json.loads(to_json(told)))
    tables = [json.loads(Parts(page(of)).of("script", type="application/json"))["tables"] for of in kinds]
    assert all(one == tables[0] for one in tables[1:])
    feed.close()


def test_saving_a_desk_listens_to_it_no_longer():
    stand = make_desk(engines=1)
    before = len(stand.desk.books.listeners)
    page(stand.desk)
    assert len(stand.desk.books.listeners) == before


def test_the_page_lets_its_own_script_run_and_nothing_else():
    parts = Parts(page({"type": "snapshot"}))
    (policy,) = (attrs["content"] for tag, attrs in parts.tags if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy")
    script, style = parts.of("script", type="module"), parts.of("style")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": hashed(script),
        "style-src": hashed(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert [tag for tag, _ in parts.tags].count("script") == 2
    assert not any("src" in attrs or "href" in attrs for _, attrs in parts.tags)


def test_no_name_breaks_out_of_the_page():
    snapshot = {"type": "snapshot", "title": HOSTILE, "tables": {"sleeves": {HOSTILE: {"engine": HOSTILE}}}}
    parts = Parts(page(snapshot))
    assert [tag for tag, _ in parts.tags].count("script") == 2 and "img" not in [tag for tag, _ in parts.tags]
    held = json.loads(parts.of("script", type="application/json"))
    assert held["title"] == HOSTILE and held["tables"]["sleeves"][HOSTILE]["engine"] == HOSTILE
    assert parts.of("title") == HOSTILE


def test_a_file_is_written_whole_and_replaced(tmp_path):
    target = tmp_path / "desk.html"
    assert save({"type": "snapshot"}, target, title="one") == target
    save({"type": "snapshot"}, str(target), title="two")
    assert Parts(target.read_text(encoding="utf-8")).of("title") == "two"
    assert [one.name for one in tmp_path.iterdir()] == ["desk.html"]


def test_what_is_no_desk_and_no_snapshot_is_refused_and_writes_nothing(tmp_path):
    target = tmp_path / "desk.html"
    for wrong in (None, 7, {"type": "delta"}, {}, object()):
        with pytest.raises(VaultError, match="page is made of"):
            save(wrong, target)
    with pytest.raises(VaultError):
        save({"type": "snapshot", "at_ms": float("nan")}, target)
    assert not target.exists()
