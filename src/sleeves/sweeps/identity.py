"""What a value is, as one line of text: equal values give equal text, today and in another process.

It is how two trials are told apart, and how a file of kept trials knows what was run: functions by their source, tapes by their
digest. What cannot be told for certain is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping, Set
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


def told(value: Any) -> str:
    """The value as canonical text. Raises `VaultError` for a kind of value that has none."""
    return json.dumps(_told(value, 0), sort_keys=True, separators=(",", ":"))


def _told(value: Any, deep: int) -> Any:
    if deep > 50:
        raise VaultError("a value that holds itself, or is nested more than 50 deep, cannot be told")
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return {"int": hex(value)}
    if type(value) is float:
        return {"float": repr(value)}
    if type(value) is Decimal:
        return {"decimal": str(value)}
    if type(value) is bytes:
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Amount):
        return {"amount": [value.asset.code, value.asset.scale, str(value.units)]}
    if isinstance(value, Asset):
        return {"asset": [value.code, value.scale]}
    if isinstance(value, Tape):
        return {"tape": value.digest()}
    if isinstance(value, Enum):
        return {"enum": [_qualified(type(value)), value.name]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_told(one, deep + 1) for one in value]}
    if isinstance(value, Set):
        return {"set": sorted(json.dumps(_told(one, deep + 1), sort_keys=True) for one in value)}
    if isinstance(value, Mapping):
        pairs = [[_told(name, deep + 1), _told(one, deep + 1)] for name, one in value.items()]
        return {"dict": sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))}
    if callable(value) and (isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, functools.partial, types.MethodType))):
        return {"code": code_of(value)}
    if attrs.has(type(value)):
        return {_qualified(type(value)): {a.name: _told(getattr(value, a.name), deep + 1) for a in attrs.fields(type(value)) if a.eq}}
    if dataclasses.is_dataclass(value):
        return {_qualified(type(value)): {f.name: _told(getattr(value, f.name), deep + 1) for f in dataclasses.fields(value) if f.compare}}
    raise VaultError(f"a {_qualified(type(value))} cannot be told from another one of its kind")


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def code_of(function: Callable[..., Any]) -> str:
    """A function or class: its name and its source, with its defaults, and what a nested one has closed over.

    The source is that of the whole file that it stands in, and of those files of which it uses something by name; not of
    what those use in turn, nor of installed packages. Where there is no file, it is its own. Raises `VaultError` where there is no
    source, or where it holds what cannot be told.
    """
    return hashlib.sha256(json.dumps(_code(function), sort_keys=True).encode()).hexdigest()


def _code(function: Any) -> Any:
    if isinstance(function, functools.partial):
        return {"partial": _code(function.func), "args": told(function.args), "named": told(function.keywords)}
    if isinstance(function, types.MethodType):
        return {"method": _code(function.__func__), "of": told(function.__self__)}
    if isinstance(function, types.BuiltinFunctionType):
        return {"builtin": f"{function.__module__}.{function.__qualname__}"}
    if not isinstance(function, (type, types.FunctionType)):
        call = type(function).__call__
        return {"callable": _code(call), "of": told(function)}
    found: dict[str, Any] = {"name": function.__qualname__, "files": _files(function)}
    if isinstance(function, types.FunctionType):
        found["code"] = _bytecode_free(function)
        found["defaults"] = told([function.__defaults__, function.__kwdefaults__])
        if function.__closure__:
            cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
            found["closed over"] = {name: told(cell.cell_contents) for name, cell in cells.items()}
    return found


def _bytecode_free(function: types.FunctionType) -> str:
    """The function's own source: two functions of one name and file are two."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError):
        return _code_hash(function.__code__)


def _code_hash(code: types.CodeType) -> str:
    """Of a function that has no source: what it does in this version of Python."""
    parts: list[Any] = [sys.version_info[:2], code.co_code.hex(), code.co_names, code.co_varnames]
    parts += [_code_hash(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _files(function: Any) -> dict[str, str]:
    """By module name, the digest of each of the user's own files that the function stands in or names something of."""
    found = {}
    for module in _modules(function):
        path = getattr(module, "__file__", None)
        if path and _own(path):
            try:
                found[Path(path).name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise VaultError(f"the source of {module.__name__} cannot be read: {error}") from error
    return found


def _modules(function: Any) -> list[types.ModuleType]:
    names = {function.__module__}
    for code, space in _codes(function):
        for name in code.co_names:
            used = space.get(name)
            if isinstance(used, types.ModuleType):
                names.add(used.__name__)
            elif isinstance(used, (type, types.FunctionType)):
                names.add(used.__module__)
    return [sys.modules[name] for name in sorted(names) if name in sys.modules]


def _codes(function: Any) -> list[tuple[types.CodeType, dict[str, Any]]]:
    functions = [function] if isinstance(function, types.FunctionType) else [f for f in vars(function).values() if inspect.isfunction(f)]
    return [(f.__code__, f.__globals__) for f in functions]


_INSTALLED = tuple(
    {str(Path(path).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))}
)


def _own(path: str) -> bool:
    """Whether a file is the user's own: neither Python's, nor installed, nor of this package, which a version stands for."""
    real = str(Path(path).resolve())
    return not real.startswith((*_INSTALLED, _PACKAGE))
