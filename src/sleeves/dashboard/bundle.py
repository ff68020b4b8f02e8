"""The page's modules linked into one text without a build step, and a desk saved as one HTML file.

    link("index.js")                        one ES module; what the entry exports, it exports
    save(desk, "desk.html", title="Main")   the same components over a picture that does not move

A module of the page imports only at its top and only from its neighbours, and exports by name, so each becomes a function
that is called once, after those that it needs. No Blob URLs and no import map: what is linked runs under the strictest policy
that lets one script run. What stands elsewhere in a module is not looked at; the tests run the whole in a real browser.

`save` writes the file itself and asks the network for nothing, nor does what it writes: its policy forbids every request,
and lets that one script run and no other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import VaultError

if TYPE_CHECKING:
    from ..desk import Desk
    from .feed import Feed
    from .messages import Snapshot

__all__ = ["link", "page", "save", "source"]

Read = Callable[[str], str]
_NAME = r"[A-Za-z_$][\w$]*"
_IMPORT = re.compile(rf'import (?:(?P<all>{_NAME}) from |\{{ (?P<some>[^}}]*) \}} from )?"(?P<path>\./[\w./-]+\.js|\.\./[\w./-]+\.js)";$')
_DECLARED = re.compile(rf"export (?:async )?(?:class|function\*?|const) (?P<name>{_NAME})")
_LISTED = re.compile(r"export \{ (?P<names>[^}]*) \};$")
_DEFAULT = "export default "
_FILE = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)*\.[a-z]+")


def source(name: str) -> str:
    """The text of a file of the page by its path in `static`, such as "store.js"; raises `VaultError` where there is none."""
    if _FILE.fullmatch(name) is None:
        raise VaultError(f"{name!a} is no file of the page")
    found = files("sleeves.dashboard").joinpath("static", *name.split("/"))
    if not found.is_file():
        raise VaultError(f"the page has no file {name!a}")
    return found.read_text(encoding="utf-8")


@cache
def link(entry: str = "index.js", read: Callable[[str], str] = source) -> str:
    """One ES module text that does what the module `entry` and all that it imports do; it exports what `entry` exports.

    `read` gives the text of a module by its path, by default of the page's own. The same modules give the same text. Raises
    `VaultError` for a module that is not there, a ring of imports, and an import or an export of a form that is not read here.
    """
    order: list[str] = []
    _after_its_needs(entry, order, (), read)
    parts = [_wrapped(name, order, read) for name in order]
    last = _inside(entry, order)
    names = _exports(entry, read)
    shown = [f"export const {name} = {last}.{name};" for name in names if name != "default"]
    if "default" in names:
        shown.append(f"export default {last}.default;")
    text = "\n".join((*parts, *shown, ""))
    if re.search(r"</script|<!--", text, re.IGNORECASE):
        raise VaultError(f"the modules of {entry!a} hold what would end a script within a page")
    return text


def _after_its_needs(name: str, order: list[str], above: tuple[str, ...], read: Read) -> None:
    if name in order:
        return
    if name in above:
        raise VaultError(f"the page's modules import each other in a ring: {' -> '.join((*above, name))}")
    for found in _imports(name, read):
        _after_its_needs(_path(name, found["path"]), order, (*above, name), read)
    order.append(name)


def _path(name: str, path: str) -> str:
    """What a module called `name` means by `path`, within static."""
    return os.path.normpath(os.path.join(os.path.dirname(name), path)).replace(os.sep, "/")


def _split(name: str, read: Read) -> tuple[list[str], list[str]]:
    """The lines of a module: those of its imports, and all after them. Comments and blank lines may stand among imports."""
    lines = read(name).split("\n")
    imports = []
    for at, line in enumerate(lines):
        if line.startswith(("import ", "import{")):
            imports.append(line)
        elif line.strip() and not line.startswith("//"):
            return imports, lines[at:]
    return imports, []


def _imports(name: str, read: Read) -> list[re.Match[str]]:
    found = []
    for line in _split(name, read)[0]:
        match = _IMPORT.match(line)
        if match is None:
            raise VaultError(f"{name} imports in a form that is not read here: {line}")
        found.append(match)
    return found


def _exports(name: str, read: Read) -> list[str]:
    """What a module exports, in its order; "default" is among them."""
    names = []
    for line in _split(name, read)[1]:
        if not line.startswith("export "):
            continue
        declared, listed = _DECLARED.match(line), _LISTED.match(line)
        if declared is not None:
            names.append(declared["name"])
        elif listed is not None:
            names += [one.strip() for one in listed["names"].split(",") if one.strip()]
        elif line.startswith(_DEFAULT):
            names.append("default")
        else:
            raise VaultError(f"{name} exports in a form that is not read here: {line}")
    wrong = [one for one in names if re.fullmatch(_NAME, one) is None]
    if wrong:
        raise VaultError(f"{name} exports in a form that is not read here: {', '.join(wrong)}")
    return names


def _inside(name: str, order: list[str]) -> str:
    """What the linked text calls the exports of a module."""
    return f"$m{order.index(name)}"


def _wrapped(name: str, order: list[str], read: Read) -> str:
    """A module as a function that is called at once and gives what the module exports."""
    heads = []
    for found in _imports(name, read):
        module = _inside(_path(name, found["path"]), order)
        if found["all"] is not None:
            heads.append(f"const {found['all']} = {module}.default;")
        elif found["some"] is not None:
            wanted = [one.strip().replace(" as ", ": ") for one in found["some"].split(",") if one.strip()]
            heads.append(f"const {{ {', '.join(wanted)} }} = {module};")
    body = []
    for line in _split(name, read)[1]:
        if _DECLARED.match(line):
            line = line.removeprefix("export ")
        elif _LISTED.match(line):
            continue
        elif line.startswith(_DEFAULT):
            line = f"const $default = {line.removeprefix(_DEFAULT)}"
        body.append(line)
    given = ", ".join("default: $default" if one == "default" else one for one in _exports(name, read))
    inner = "\n".join((*heads, *body)).strip("\n")
    return f"// {name}\nconst {_inside(name, order)} = (() => {{\n{inner}\nreturn {{ {given} }};\n}})();"


# -- one file -----------------------------------------------------------------------------------------------------------------


def page(of: Desk | Feed | Snapshot | Mapping[str, object], *, title: str = "") -> str:
    """One HTML page that shows a desk as it stands, without a request to anywhere.

    `of` is a desk, a feed, a `Snapshot`, or one as plain data. `title` is text, by default what the snapshot's own is. Raises
    `VaultError` for a title that is no text that can be written.
    """
    if not isinstance(title, str) or any(0xD800 <= ord(one) <= 0xDFFF for one in title):
        raise VaultError(f"a page's title is text, not {title!a}")
    snapshot = _snapshot(of, title)
    name = str(snapshot.get("title") or "sleeves")
    script = link("index.js")
    style = source("theme.css")
    policy = (
        f"default-src 'none'; script-src '{_sum(script)}'; style-src '{_sum(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return _PAGE.format(policy=policy, title=escape(name), style=style, snapshot=_within_script(snapshot), script=script)


def save(of: Desk | Feed | Snapshot | Mapping[str, object], path: str | os.PathLike[str], *, title: str = "") -> Path:
    """Write `page` to a file, whole or not at all, and give its path. A file of that name is replaced."""
    target = Path(path)
    text = page(of, title=title)
    beside = target.with_name(f".{target.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return target


def _snapshot(of: Desk | Feed | Snapshot | Mapping[str, object], title: str) -> dict[str, object]:
    """The snapshot as plain data, of whatever has one; a picture takes no instructions."""
    if isinstance(of, Mapping):
        plain = dict(of)
    else:
        from ..desk import Desk
        from .feed import Feed
        from .messages import Snapshot, to_json

        told: object = of
        if isinstance(of, Feed):
            told = of.snapshot()
        elif isinstance(of, Desk):
            feed = Feed(of, title=title)
            try:
                told = feed.snapshot()
            finally:
                feed.close()
        if not isinstance(told, Snapshot):
            raise VaultError(f"a page is made of a desk, a feed or a snapshot, not of {type(of).__name__}")
        plain = json.loads(to_json(told))
    if plain.get("type") != "snapshot":
        raise VaultError("a page is made of a snapshot")
    return {**plain, "commands": False, "title": title or plain.get("title") or ""}


def _within_script(data: Mapping[str, object]) -> str:
    """JSON that holds no character by which a page could take it for anything else."""
    try:
        text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise VaultError(f"this snapshot cannot be written as JSON: {error}") from error
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sum(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page draws itself from the data that it holds; that takes JavaScript.</noscript>
<sleeves-desk snapshot="#sleeves-snapshot"><sleeves-page titled>
<p class="wait">This page draws itself. If this stays, this browser is too old for its script.</p>
</sleeves-page></sleeves-desk>
<script type="application/json" id="sleeves-snapshot">{snapshot}</script>
<script type="module">{script}</script>
</body>
</html>
"""
