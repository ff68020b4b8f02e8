"""For the API reference: what attrs and NamedTuple classes are made from, as a signature.

The reference is read from the source without importing it, and griffe knows the generated `__init__` of dataclasses
alone. Attributes that stand in a signature already, without a word of their own, are not listed again.
"""

from __future__ import annotations

from typing import Any

import griffe

MAKERS = {"attrs.frozen", "attrs.define"}


class Signatures(griffe.Extension):
    """Adds an `__init__` to classes that have a generated one."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        if "__init__" in cls.members:
            for name, member in list(cls.members.items()):
                if member.is_attribute and "instance-attribute" in member.labels and member.docstring is None:
                    cls.del_member(name)
            return
        made = any(decorator.callable_path in MAKERS for decorator in cls.decorators)
        if not made and not any(str(base) == "NamedTuple" for base in cls.bases):
            return
        parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
        for name, member in list(cls.members.items()):
            if member.is_attribute and member.annotation is not None and "property" not in member.labels:
                found = parameter(name, member.value, member.annotation)
                parameters += found
                if found and member.docstring is None:
                    cls.del_member(name)
        parameters.sort(key=lambda p: p.kind is griffe.ParameterKind.keyword_only)
        cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters), returns="None"))


def parameter(name: str, value: Any, annotation: Any) -> list[griffe.Parameter]:
    """What a field adds to the signature: nothing when it is worked out."""
    given: dict[str, Any] = {}
    if isinstance(value, griffe.ExprCall) and str(value.function) == "field":
        given = {argument.name: argument.value for argument in value.arguments if isinstance(argument, griffe.ExprKeyword)}
        value = given.get("default")
        if "factory" in given:
            factory = str(given["factory"])
            value = "..." if factory.startswith("lambda") else f"{factory}()"
    if str(given.get("init")) == "False" or name.startswith("_"):
        return []
    keyword = str(given.get("kw_only")) == "True"
    kind = griffe.ParameterKind.keyword_only if keyword else griffe.ParameterKind.positional_or_keyword
    return [griffe.Parameter(name, annotation=annotation, kind=kind, default=value)]
