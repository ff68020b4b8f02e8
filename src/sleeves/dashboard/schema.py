"""The JSON Schema of everything on the wire, made of the very types that are sent: draft 2020-12.

    document()                    one document, with all messages, rows and instructions under $defs
    schema_of("server", "delta")  the schema of one message, which stands by itself

Nothing is written by hand: messages and rows are read off `messages`, instructions off `sleeves.instructions`, whose fields say
their pattern, their rule and what they are about.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, Attribute, fields

from .. import __version__
from ..errors import VaultError
from ..instructions import INSTRUCTIONS, Instruction, what_of
from .messages import (
    CHART_FIELDS,
    FROM_PAGE,
    FROM_SERVER,
    KEPT,
    LARGEST,
    PARTS,
    POINTS,
    AtLeast,
    Delta,
    Do,
    Matches,
    Preview,
    Snapshot,
)

__all__ = ["DIALECT", "definitions", "document", "instruction_schema", "schema_of"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SAFE = 2**53 - 1
"""The largest whole number that every reader of JSON holds exactly."""

Schema = dict[str, Any]


def document() -> Schema:
    """One schema that any message matches, with a definition for each under $defs: "server.delta", "page.do", "instruction.open"."""
    names = [f"server.{name}" for name in FROM_SERVER] + [f"page.{name}" for name in FROM_PAGE]
    return {
        "$schema": DIALECT,
        "$id": f"urn:sleeves:dashboard:{__version__}",
        "title": "The messages of a sleeves dashboard",
        "description": f"A message of a page has at most {LARGEST} bytes. A stream keeps its last {KEPT} items, a series {POINTS} points.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in names],
        "$defs": definitions(),
    }


def schema_of(side: str, name: str) -> Schema:
    """The schema of one message, by who says it ("server" or "page") and its type. Raises `VaultError` for what is none."""
    known = {"server": FROM_SERVER, "page": FROM_PAGE}.get(side, {})
    if name not in known:
        raise VaultError(
            f"no message {name!r} of {side!r}: there are {', '.join(FROM_SERVER)} of server and {', '.join(FROM_PAGE)} of page"
        )
    return {"$schema": DIALECT, "$ref": f"#/$defs/{side}.{name}", "$defs": definitions()}


def definitions(root: str = "#/$defs/") -> dict[str, Schema]:
    """Every definition by its name; `root` is where they are found in the document that they go into."""
    maker = _Maker(root)
    for side, known in (("server", FROM_SERVER), ("page", FROM_PAGE)):
        for name, kind in known.items():
            maker.found[f"{side}.{name}"] = maker.message(name, kind)
    for name, instruction in INSTRUCTIONS.items():
        maker.found[f"instruction.{name}"] = instruction_schema(instruction)
    maker.found["instruction"] = {
        "description": "What a desk is instructed to do. `by` may be left out: the server says who it is by, whatever stands there.",
        "anyOf": [{"$ref": f"{root}instruction.{name}"} for name in INSTRUCTIONS],
    }
    return dict(sorted(maker.found.items()))


def instruction_schema(kind: type[Instruction]) -> Schema:
    """The schema of one kind of instruction, from its fields' own patterns and rules."""
    name = what_of(kind)
    properties: dict[str, Schema] = {"what": {"const": name}}
    needed = ["what"]
    for one in fields(kind):
        properties[one.name] = _instructed(one)
        if one.default is NOTHING and one.name != "by":
            needed.append(one.name)
    return {
        "type": "object",
        "title": name,
        "description": _first(kind),
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


def _instructed(one: Attribute[Any]) -> Schema:
    """A field of an instruction: text by its pattern; a truth value or a number also in words, as in `to_terms`."""
    about = f"{one.metadata['about']}: {one.metadata['rule']}"
    kind = str(one.type)
    if kind == "bool":
        body: Schema = {"enum": [True, False, "yes", "no"]}
    elif kind == "int":
        least, most = (int(part.replace(",", "")) for part in one.metadata["rule"].partition(", ")[2].split(" to "))
        body = {"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, {"type": "string", "pattern": "^[0-9]{1,9}$"}]}
    else:
        body = {"type": "string", "pattern": whole(one.metadata["pattern"])}
    default = {} if one.default is NOTHING else {"default": one.default}
    return {**body, "description": about, **default}


def whole(pattern: str) -> str:
    """A pattern that must match all of a text, as JSON Schema's own match any part of it."""
    return f"^(?:{pattern})$(?!\\n)"


class _Maker:
    """Makes schemas of types, and keeps a definition of each class that it meets."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.found: dict[str, Schema] = {}

    def message(self, name: str, kind: type) -> Schema:
        body = self._object(kind)
        return {**body, "properties": {"type": {"const": name}, **body["properties"]}, "required": ["type", *body["required"]]}

    def _object(self, kind: Any) -> Schema:
        hints = get_type_hints(kind, include_extras=True)
        properties = {one.name: self._field(kind, one.name, hints[one.name]) for one in fields(kind)}
        return {
            "type": "object",
            "title": kind.__name__,
            "description": _first(kind),
            "properties": properties,
            "required": [one.name for one in fields(kind) if one.default is NOTHING],
            "additionalProperties": False,
        }

    def _field(self, kind: type, name: str, hint: Any) -> Schema:
        parts = PARTS.get((kind, name))
        if parts is not None:
            return self._by_name(kind, parts, get_args(hint)[1])
        if kind in (Do, Preview) and name == "instruction":
            return {"$ref": f"{self.root}instruction"}
        if kind is Snapshot and name == "charts":
            return self._charts()
        if kind is Delta and name == "points":
            return {"type": "object", "patternProperties": self._points(), "additionalProperties": False}
        return self.of(hint)

    def _by_name(self, kind: type, parts: Mapping[str, type], hint: Any) -> Schema:
        """Rows by key, or items, by the name of their table or stream. A snapshot has all of them."""
        items = get_origin(hint) is tuple
        bodies: dict[str, Schema] = {}
        for name, row in parts.items():
            one = self.of(row)
            bodies[name] = {"type": "array", "items": one} if items else {"type": "object", "additionalProperties": one}
            if items:
                bodies[name]["maxItems"] = KEPT
        every = {"required": list(parts)} if kind is Snapshot else {}
        return {"type": "object", "properties": bodies, **every, "additionalProperties": False}

    def _points(self) -> dict[str, Schema]:
        """By what a series is of, its points."""
        found: dict[str, Schema] = {}
        for prefix, names in CHART_FIELDS.items():
            figures = [{"type": "number"}, *[{"type": ["number", "null"]}] * (len(names) - 1)]
            point = {"type": "array", "prefixItems": figures, "items": False, "minItems": len(names)}
            found[f"^{prefix}:"] = {"type": "array", "items": point}
        return found

    def _charts(self) -> Schema:
        series: dict[str, Schema] = {}
        for pattern, points in self._points().items():
            names = CHART_FIELDS[pattern.strip("^:")]
            series[pattern] = {
                "type": "object",
                "properties": {"fields": {"const": list(names)}, "points": {**points, "maxItems": POINTS}},
                "required": ["fields", "points"],
                "additionalProperties": False,
            }
        return {"type": "object", "patternProperties": series, "additionalProperties": False}

    def of(self, hint: Any) -> Schema:
        """The schema of a type: those that `messages.from_json` reads."""
        origin, args = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return _ruled(args[1])
        if origin is Literal:
            return {"enum": list(args)}
        if origin in (Union, types.UnionType):
            return self._one_of(args)
        if origin is tuple:
            if args[-1] is ...:
                return {"type": "array", "items": self.of(args[0])}
            return {"type": "array", "prefixItems": [self.of(one) for one in args], "items": False, "minItems": len(args)}
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(args[1])}
        if hasattr(hint, "__attrs_attrs__"):
            name = f"row.{hint.__name__}"
            if name not in self.found:
                self.found[name] = self._object(hint)
            return {"$ref": f"{self.root}{name}"}
        return {"type": {str: "string", bool: "boolean", int: "integer", float: "number"}[hint]}

    def _one_of(self, kinds: tuple[Any, ...]) -> Schema:
        empty = type(None) in kinds
        bodies = [self.of(one) for one in kinds if one is not type(None)]
        if empty and len(bodies) == 1 and isinstance(bodies[0].get("type"), str):
            return {**bodies[0], "type": [bodies[0]["type"], "null"]}
        return {"anyOf": [*bodies, *([{"type": "null"}] if empty else [])]}


def _ruled(rule: Matches | AtLeast) -> Schema:
    if isinstance(rule, AtLeast):
        return {"type": "integer", "minimum": rule.least, "maximum": SAFE}
    return {"type": "string", "pattern": whole(rule.pattern), "description": rule.about}


def _first(kind: type) -> str:
    """What a class is, by the first paragraph of its docstring; nothing where it has none of its own."""
    text = kind.__doc__ or ""
    return "" if text.startswith("Method generated by attrs") else " ".join(text.split("\n\n")[0].split())
