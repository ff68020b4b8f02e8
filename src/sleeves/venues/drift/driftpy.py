"""driftpy as a second coder for Drift v2: its own decoding of accounts, into our views, and its own instructions. Extra `drift`.

    other = Driftpy()
    user = other.read(User, address, owner, data, slot)        # what driftpy reads, once both say the same of every byte
    ask = DriftpyInstructions()                                 # the methods of `Instructions`, written by driftpy's coder

The default everywhere is this package's own codec; nothing imports this module, and nothing needs it to trade or to watch. It is for
those who have driftpy installed anyway, and for the parity job that holds the two against each other. It knows Drift v2 alone:
driftpy reads a Velocity account without an error, as garbage, so every other deployment is refused.
driftpy 0.8.89 bundles the IDL 2.142. Its fields of the same bytes may carry older names; they are compared by place, never by name.
Nothing of driftpy's risk engine, its sender or its subscriptions is used: `reference`, section 3.7 and 4.2, says why.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final

from attrs import frozen
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, MissingExtra, VenueError
from . import accounts
from .borsh import NUMBERS, Kind
from .deployment import DRIFT_V2, Deployment
from .instructions import Instructions
from .layouts import WIDTHS, Layout

try:
    import driftpy as installed
    from anchorpy import Coder, Context, Idl
    from anchorpy.program.common import NamedInstruction
    from anchorpy.program.namespace.instruction import _InstructionFn as Builder
    from anchorpy.program.namespace.instruction import snake
except ImportError:
    raise MissingExtra("driftpy", "drift", "driftpy's coder for Drift v2") from None

__all__ = ["Disagreement", "Driftpy", "DriftpyInstructions"]

IDL: Final = "idl/drift.json"
"""Where driftpy keeps the program's interface, inside its package."""


class Disagreement(VenueError):
    """driftpy's coder and ours read different values from the same bytes, or write different bytes: names the place and both."""


class Driftpy:
    """driftpy's coder, made from the IDL that it brings. Making one takes about a second; reading an account about 10 ms.

    Raises `InvalidMarket` for a deployment that driftpy does not know.
    """

    def __init__(self, deployment: Deployment = DRIFT_V2) -> None:
        if deployment.program_id != DRIFT_V2.program_id:
            raise InvalidMarket(f"driftpy knows Drift v2 alone, and would read accounts of {deployment.name} without an error, as garbage")
        self.deployment = deployment
        text = (resources.files(installed) / IDL).read_text("utf-8")
        told = json.loads(text)
        self.version: str = told["version"]
        """The version of the IDL that driftpy brings."""
        self._types: dict[str, Any] = {one["name"]: one["type"] for one in (*told["types"], *told["accounts"])}
        self._asked: dict[str, Any] = {snake(one["name"]): one for one in told["instructions"]}
        self._idl = Idl.from_json(text)
        self._coder = Coder(self._idl)

    def decode(self, data: bytes) -> Any:
        """The account as driftpy's coder has it: its own class, its own names. Raises `KeyError` for an unknown discriminator."""
        return self._coder.accounts.decode(data)

    def encode(self, kind: str, account: Any) -> bytes:
        """The bytes of an account that `decode` gave, discriminator first, as driftpy's coder writes them."""
        return bytes(self._coder.accounts.build(NamedInstruction(data=_plain(account), name=kind)))

    def leaves(self, kind: str, data: bytes) -> dict[int, tuple[str, bytes]]:
        """Every value that driftpy reads, by its offset: its path among driftpy's names, and its bytes.

        Raises `Disagreement` where driftpy takes the bytes for another account than `kind`.
        """
        account = self.decode(data)
        name = type(account).__name__
        if name != kind:
            raise Disagreement(f"driftpy takes these bytes for a {name}, not for a {kind}")
        found: dict[int, tuple[str, bytes]] = {}
        at = 8
        for path, raw in self._leaves({"defined": kind}, account, ""):
            found[at] = (path, raw)
            at += len(raw)
        return found

    def agree(self, kind: str, data: bytes) -> int:
        """How many values driftpy reads from an account, all of them the bytes that this package's codec has at the same places.

        Raises `Disagreement` where one differs, where one of the two reads less than the other, and where what either writes again
        is not what it has read.
        """
        codec = self.deployment.codec(kind)
        record = codec.decode(data)
        if codec.encode(record) != data:
            raise Disagreement(f"our {kind} is not written as it was read")
        ours = b"".join(_ours(codec.layout, record))
        theirs = self.leaves(kind, data)
        size = sum(len(raw) for _, raw in theirs.values())
        if size != len(ours):
            raise Disagreement(f"driftpy reads {size} bytes of a {kind}, and here {len(ours)} are read")
        for at, (path, raw) in theirs.items():
            mine = ours[at - 8 : at - 8 + len(raw)]
            if mine != raw:
                raise Disagreement(f"{kind} at {at}: driftpy reads {path} as {raw.hex()}, and here it is {mine.hex()}")
        if self.encode(kind, self.decode(data)) != data[: 8 + size]:
            raise Disagreement(f"driftpy's {kind} is not written as it was read")
        return len(theirs)

    def read(self, kind: type[accounts.View], address: str, owner: str, data: bytes, slot: int) -> accounts.View:
        """A view of an account, as `accounts.read` gives it, of which driftpy reads the same in every byte.

        Raises `Disagreement`, and what `accounts.read` raises.
        """
        view = accounts.read(self.deployment, kind, address, owner, data, slot)
        self.agree(kind.__name__, data)
        return view

    def instruction(self, name: str, values: Sequence[Any], metas: Iterable[AccountMeta]) -> Instruction:
        """An instruction as driftpy writes it: the data by its coder; order, signing and writing of the named accounts by its IDL.

        `values` are plain: an enum is its number, an address is text, a record is a mapping. `metas` are the named accounts in the
        program's order, then the remaining ones, which stay as they are. Raises `InvalidMarket` for what the IDL has not.
        """
        if name not in self._asked:
            raise InvalidMarket(f"driftpy's IDL {self.version} has no instruction {name}")
        told, given = self._asked[name], list(metas)
        places, kinds = [snake(one["name"]) for one in told["accounts"]], [one["type"] for one in told["args"]]
        if len(given) < len(places) or len(values) != len(kinds):
            raise InvalidMarket(
                f"driftpy's {name} takes {len(places)} accounts and {len(kinds)} arguments, and {len(given)} and {len(values)} are here"
            )
        known = next(one for one in self._idl.instructions if snake(one.name) == name)
        named = {place: meta.pubkey for place, meta in zip(places, given, strict=False)}
        build = Builder(known, self._coder.instruction.build, Pubkey.from_string(self.deployment.program_id))
        written = [self._written(kind, value) for kind, value in zip(kinds, values, strict=True)]
        built: Instruction = build(*written, ctx=Context(accounts=named, remaining_accounts=given[len(places) :]))
        return built

    def _leaves(self, kind: Any, value: Any, path: str) -> Iterator[tuple[str, bytes]]:
        """The values below one, in the order of the IDL."""
        if kind == "publicKey":
            yield path, bytes(value)
        elif isinstance(kind, str):
            size, signed = NUMBERS["u8" if kind == "bool" else kind]
            yield path, int(value).to_bytes(size, "little", signed=signed)
        elif "array" in kind:
            of, count = kind["array"]
            if len(value) != count:
                raise Disagreement(f"driftpy reads {len(value)} of {path}, and its IDL has {count}")
            if of == "u8":
                yield path, bytes(value)
            else:
                for at, one in enumerate(value):
                    yield from self._leaves(of, one, f"{path}.{at}")
        else:
            told = self._types[kind["defined"]]
            if told["kind"] == "enum":
                yield path, bytes([value.index])
            else:
                for one, field in zip(told["fields"], dataclasses.fields(value), strict=True):
                    yield from self._leaves(one["type"], getattr(value, field.name), f"{path}.{field.name}" if path else field.name)

    def _written(self, kind: Any, value: Any) -> Any:
        """A plain value as driftpy's coder takes it."""
        if isinstance(kind, str):
            return Pubkey.from_string(value) if kind == "publicKey" else value
        if "option" in kind:
            return None if value is None else self._written(kind["option"], value)
        if "vec" in kind:
            return [self._written(kind["vec"], one) for one in value]
        if "array" in kind:
            return list(value)
        told = self._types[kind["defined"]]
        if told["kind"] == "enum":
            return _word(value)
        return {snake(one["name"]): self._written(one["type"], value[snake(one["name"])]) for one in told["fields"]}


class DriftpyInstructions(Instructions):
    """The instructions of Drift v2, written by driftpy's coder: the same methods as `Instructions`, and the same bytes."""

    def __init__(self, deployment: Deployment = DRIFT_V2) -> None:
        super().__init__(deployment)
        self.driftpy = Driftpy(deployment)

    def _ask(self, name: str, args: tuple[tuple[Kind, Any], ...], accounts: Iterable[AccountMeta]) -> Instruction:
        metas = list(accounts)
        super()._ask(name, args, metas)  # refuses what the program's types cannot hold; driftpy's coder would cut some of it
        return self.driftpy.instruction(name, [value for _, value in args], metas)


def _word(number: int) -> Any:
    """A variant of an enum as the coder takes it: any attrs class without fields, and its number."""
    return frozen(type("Word", (), {"index": number}))()


def _plain(value: Any) -> Any:
    """An account of driftpy's as its coder takes it back: mappings and lists. `dataclasses.asdict` fails on its addresses."""
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _ours(layout: Layout, record: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of our record's values, in the layout's order, each from its value."""
    for field in layout.fields:
        value = record[field.name]
        if field.of is not None:
            for one in value if field.many else (value,):
                yield from _ours(field.of, one)
        elif field.kind == "key":
            yield bytes(Pubkey.from_string(value))
        elif isinstance(value, int):
            size = WIDTHS[field.kind]
            yield value.to_bytes(size, "little", signed=field.kind.startswith("i"))
        else:
            yield bytes(value)
