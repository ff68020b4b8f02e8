"""What a value is, as one line of text: equal values give equal text, today and in another process.

It is how two trials are told apart, and how a file of kept trials knows what was run: functions by what they do, by the values that
they use by name, and by the files that they stand in; tapes by their digest. What cannot be told for certain is refused: then
nothing is kept, rather than the wrong thing found again.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import functools
import hashlib
import importlib.util
import io
import json
import pickle
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Set
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from ..errors import VaultError
from ..money import Amount, Asset
from ..sim.tape import Tape

__all__ = ["code_of", "told"]

_PACKAGE = str(Path(__file__).parents[1])

_DEEPEST = 50


def told(value: Any, *, pickles: bool = True) -> str:
    """The value as canonical text; what is of no known kind by what pickle keeps of it, if `pickles`.

    Raises `VaultError` for a kind of value that has none.
    """
    telling = _Telling(pickles)
    said = telling.tell(value, 0)
    code = telling.code()
    return _line(said if code is None else {"value": said, "code": code})


def code_of(function: Callable[..., Any]) -> str:
    """A function, class, or anything callable: what it does, in all that it comes by.

    That is its code, with its defaults and what it has closed over; the value, as it is now, of every global that it names;
    the same of each function and class that it comes by in this way; and the whole file of each of these, with all files
    that those import, in turn. Of Python and of what is installed it is the name alone, and the version of Python. What it
    reads while it runs (files, the environment) is not seen. Raises `VaultError` where it holds or names what cannot be told.
    """
    return _digest(told(function))


def _line(said: Any) -> str:
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _qualified(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _untold(value: object) -> VaultError:
    return VaultError(f"a {_qualified(type(value))} cannot be told from another one of its kind")


class _Telling:
    """One value being told: it is told in place, and the functions and classes that it comes by one after the other."""

    def __init__(self, pickles: bool = True) -> None:
        self._pickles = pickles
        self._met: list[Any] = []
        """Functions and classes that were come by, in order."""
        self._places: dict[int, int] = {}
        self._modules: set[str] = set()
        """Names of modules in which they stand."""
        self._tapes: dict[int, tuple[Tape, str]] = {}

    # -- values ----------------------------------------------------------------------------------------------------------

    def tell(self, value: Any, deep: int) -> Any:
        if deep > _DEEPEST:
            raise VaultError(f"a value that holds itself, or is nested more than {_DEEPEST} deep, cannot be told")
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return {"int": hex(value)}
        if kind is float:
            return {"float": repr(value)}
        if kind is Decimal:
            return {"decimal": str(value)}
        if kind is bytes:
            return {"bytes": hashlib.sha256(value).hexdigest()}
        if kind is Amount:
            return {"amount": [value.asset.code, value.asset.scale, str(value.units)]}
        if kind is Asset:
            return {"asset": [value.code, value.scale]}
        if isinstance(value, Tape):
            return {"tape": self._tape(value)}
        if isinstance(value, Enum):
            return {"enum": [*self._kind(value), value.name]}
        if kind in (list, tuple):
            return {kind.__name__: [self.tell(one, deep + 1) for one in value]}
        if kind in (set, frozenset):
            return {"set": sorted(_line(self.tell(one, deep + 1)) for one in value)}
        if isinstance(value, Mapping) and (kind in (dict, types.MappingProxyType) or not _own_kind(kind)):
            pairs = [[self.tell(name, deep + 1), self.tell(one, deep + 1)] for name, one in value.items()]
            if kind not in (dict, types.MappingProxyType):
                return {"of": _qualified(kind), "dict": pairs, "else": self.tell(getattr(value, "default_factory", None), deep + 1)}
            return {"dict": pairs if deep else sorted(pairs, key=lambda pair: _line(pair[0]))}
        if isinstance(value, Set) and not _own_kind(kind):
            return {"set": sorted(_line(self.tell(one, deep + 1)) for one in value)}
        if isinstance(value, types.ModuleType):
            return self._module(value)
        said = self._callable(value, deep)
        if said is not None:
            return said
        if attrs.has(kind):
            of = {a.name: self.tell(getattr(value, a.name, None), deep + 1) for a in attrs.fields(kind) if a.eq or a.init}
            return {"of": self._kind(value), "fields": of}
        if dataclasses.is_dataclass(value):
            of = {f.name: self.tell(getattr(value, f.name, None), deep + 1) for f in dataclasses.fields(value) if f.compare or f.init}
            return {"of": self._kind(value), "fields": of}
        return self._pickled(value, deep)

    def _tape(self, tape: Tape) -> str:
        if id(tape) not in self._tapes:
            self._tapes[id(tape)] = tape, tape.digest()
        return self._tapes[id(tape)][1]

    def _kind(self, value: object) -> list[Any]:
        """The class of a value: by name, and by what it does where it is the user's own."""
        kind = type(value)
        return [_qualified(kind), self._meet(kind)] if _own_kind(kind) else [_qualified(kind)]

    def _module(self, module: types.ModuleType) -> Any:
        self._modules.add(module.__name__)
        return {"module": module.__name__}

    def _callable(self, value: Any, deep: int) -> Any:
        """A function, class or method, or a part of one; None for anything else."""
        if isinstance(value, type):
            return {"class": self._meet(value)} if _own_kind(value) else {"named": _qualified(value)}
        if isinstance(value, types.FunctionType):
            if _own_function(value) or (value.__closure__ and not _importable(value)):
                return {"function": self._meet(value)}
            return {"named": _qualified(value)}
        if isinstance(value, functools.partial):
            return {"partial": self.tell([value.func, value.args, value.keywords], deep + 1)}
        if isinstance(value, types.MethodType):
            return {"method": self.tell([value.__func__, value.__self__], deep + 1)}
        if isinstance(value, types.BuiltinFunctionType):
            of = None if isinstance(value.__self__, types.ModuleType) else value.__self__
            return {"builtin": f"{value.__module__}.{value.__qualname__}", "of": self.tell(of, deep + 1)}
        if isinstance(value, (staticmethod, classmethod)):
            return {type(value).__name__: self.tell(value.__func__, deep + 1)}
        if isinstance(value, property):
            return {"property": self.tell([value.fget, value.fset, value.fdel], deep + 1)}
        if isinstance(value, functools.cached_property):
            return {"property": self.tell(value.func, deep + 1)}
        inner = getattr(value, "__wrapped__", None) if callable(value) else None
        if isinstance(inner, types.FunctionType):
            return {"wrapped": [_qualified(type(value)), self.tell(inner, deep + 1)]}
        return None

    def _pickled(self, value: Any, deep: int) -> Any:
        """Whatever else there is, by what pickle would restore of it, its class with it."""
        if type(value) is object or not self._pickles or deep > _DEEPEST:
            raise _untold(value)
        file = io.BytesIO()
        try:
            _Pickler(file, self, deep).dump(value)
        except VaultError:
            raise
        except Exception as error:
            raise _untold(value) from error
        return {"of": self._kind(value), "pickled": hashlib.sha256(file.getvalue()).hexdigest()}

    # -- functions and classes -------------------------------------------------------------------------------------------

    def _meet(self, value: Any) -> int:
        place = self._places.get(id(value))
        if place is None:
            place = self._places[id(value)] = len(self._met)
            self._met.append(value)
        return place

    def code(self) -> str | None:
        """All functions and classes that were come by, and the files that they stand in; None where there are none."""
        said: list[Any] = []
        while len(said) < len(self._met):
            one = self._met[len(said)]
            said.append(self._class(one) if isinstance(one, type) else self._function(one))
        if not said and not self._modules:
            return None
        return _digest(_line([list(sys.version_info[:2]), said, _files(self._modules)]))

    def _named(self, what: str, value: Any) -> Any:
        try:
            return self.tell(value, 1)
        except VaultError as error:
            raise VaultError(f"{what}: {error}") from error

    def _function(self, function: types.FunctionType) -> Any:
        self._modules.add(function.__module__)
        name = function.__qualname__
        said: dict[str, Any] = {"name": name, "code": _code_hash(function.__code__)}
        said["defaults"] = self._named(f"a default of {name}", [function.__defaults__, function.__kwdefaults__])
        if function.__dict__:
            said["more"] = self._named(f"an attribute of {name}", function.__dict__)
        for what, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                inside = cell.cell_contents
            except ValueError:  # nothing is in it yet
                continue
            said[f"cell {what}"] = self._named(f"{name} has closed over {what}", inside)
        if _own_function(function):
            space, asked = function.__globals__, _attributes(function.__code__)
            for what in _globals(function.__code__):
                if what in space:
                    said[f"global {what}"] = self._global(f"{name} uses {what}", space[what], asked, 0)
        return said

    def _global(self, where: str, value: Any, asked: frozenset[str], deep: int) -> Any:
        """A global; of a module of the user's own also what is asked of it by name."""
        said = self._named(where, value)
        if not isinstance(value, types.ModuleType) or not _own_module(value.__name__) or deep > _DEEPEST:
            return said
        space = vars(value)
        return [said, {what: self._global(f"{where}.{what}", space[what], asked, deep + 1) for what in sorted(asked) if what in space}]

    def _class(self, kind: type) -> Any:
        self._modules.add(kind.__module__)
        said: dict[str, Any] = {"name": _qualified(kind), "bases": [self.tell(base, 1) for base in kind.__bases__]}
        for what, value in vars(kind).items():
            hidden = what.startswith("__") and not isinstance(value, (types.FunctionType, staticmethod, classmethod, property))
            if not hidden and what != "_abc_impl" and not isinstance(value, _PLACES):
                said[what] = self._named(f"{kind.__qualname__}.{what}", value)
        return said


_PLACES = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType)
"""What a class has by way of its making, and not by what is written in it."""


class _Pickler(pickle.Pickler):
    """Pickles, but for functions, classes, modules and tapes, which pickle has by name alone: those are told."""

    def __init__(self, file: io.BytesIO, telling: _Telling, deep: int) -> None:
        super().__init__(file, protocol=4)
        self._telling = telling
        self._deep = deep

    def persistent_id(self, value: Any) -> str | None:
        if isinstance(value, (type, types.FunctionType, types.MethodType, types.ModuleType, functools.partial, Tape)):
            return _line(self._telling.tell(value, self._deep + 1))
        return None


# -- code ----------------------------------------------------------------------------------------------------------------


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code, and that of all that is written within it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _inner(one)


def _globals(code: types.CodeType) -> list[str]:
    reads = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
    return sorted({step.argval for one in _inner(code) for step in dis.get_instructions(one) if step.opname in reads})


def _attributes(code: types.CodeType) -> frozenset[str]:
    return frozenset(name for one in _inner(code) for name in one.co_names)


def _code_hash(code: types.CodeType) -> str:
    """What it does, in this version of Python; not where it stands."""
    parts: list[Any] = [
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
    ]
    parts += [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, [_constant(one) for one in code.co_consts]]
    return _digest(repr(parts))


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _code_hash(value)
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(_constant, value))}"
    return f"({', '.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)


# -- files ---------------------------------------------------------------------------------------------------------------


_INSTALLED = tuple(
    {str(Path(path).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))}
)


@functools.lru_cache(maxsize=4096)
def _own(path: str) -> bool:
    """Whether a file is the user's own: neither Python's, nor installed, nor of this package, which a version stands for."""
    real = str(Path(path).resolve())
    return not real.startswith((*_INSTALLED, _PACKAGE))


def _own_module(name: str) -> bool:
    """What is written at a prompt, or stands in no file, is its user's own, but for what Python is made of."""
    if name == "__main__":
        return True
    path = getattr(sys.modules.get(name), "__file__", None)
    return _own(path) if path else name not in sys.builtin_module_names and name not in sys.stdlib_module_names


def _own_kind(kind: type) -> bool:
    return _own_module(kind.__module__)


def _own_function(function: types.FunctionType) -> bool:
    path = function.__code__.co_filename
    return _own(path) if not path.startswith("<") else _own_module(function.__module__)


def _importable(function: types.FunctionType) -> bool:
    """Whether a function that is installed is found by its name: no other one is meant then."""
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function and not _own_module(function.__module__)


def _files(names: Set[str]) -> dict[str, str]:
    """By the name of the module, the digest of each of the user's own files among these, and of all that they import."""
    found: dict[str, str] = {}
    ahead, seen = sorted(names), set(names)
    while ahead:
        name = ahead.pop()
        path = _path(name)
        if not path or not _own(path):
            continue
        try:
            source = Path(path).read_bytes()
        except OSError as error:
            raise VaultError(f"the source of {name} cannot be read: {error}") from error
        found[name] = hashlib.sha256(source).hexdigest()
        for other in _imported(found[name], source, name, path):
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return found


def _path(name: str) -> str | None:
    """The file of a module, one that was not imported yet included; empty where it stands in none, None where there is no such module."""
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None) or ""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    above = name.rpartition(".")[0]
    if above:
        package = _path(above)
        if package is None or (package and not _own(package)):  # what is installed is not imported for this
            return None
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # as its import would: there is nothing that could be used
        return None
    return None if spec is None else spec.origin or "" if spec.has_location else ""


_IMPORTS: dict[tuple[str, str], tuple[str, ...]] = {}
"""What a source imports, by its digest and the module's name."""


def _imported(digest: str, source: bytes, name: str, path: str) -> tuple[str, ...]:
    known = _IMPORTS.get((digest, name))
    if known is None:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):  # no Python: a library made of another language
            tree = ast.Module([], [])
        package = name if Path(path).stem == "__init__" else name.rpartition(".")[0]
        names: set[str] = set()
        for step in ast.walk(tree):
            if isinstance(step, ast.Import):
                names.update(one.name for one in step.names)
            elif isinstance(step, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - step.level + 1] if step.level else []
                base = ".".join([*above, *([step.module] if step.module else [])])
                names.update((base, *(f"{base}.{one.name}" for one in step.names if one.name != "*")))
        names |= {".".join(parts[:n]) for one in names for parts in [one.split(".")] for n in range(1, len(parts))}
        known = _IMPORTS[digest, name] = tuple(sorted(names - {""}))
    return known
