"""The command line: a demo, the same kind of thing on a page, journals verified and exported, trials by fault, a look at a venue.

Exit codes: 0 done, 1 the books did not hold or a venue is not fit, 2 wrong use or a file that failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .errors import JournalError, MissingExtra, SleevesError, VaultError, VenueRejected
from .journal import Journal, Memory

if TYPE_CHECKING:
    from .dashboard.serve import Served
    from .keys import KeyRing, KeySet, SecretSource

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="sleeves", description="Every strategy its own money inside one shared account.")
    parser.add_argument("--version", action="version", version=f"sleeves {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="two sleeves over real candles: a table, and a report with pictures")
    demo.add_argument("--out", type=Path, default=Path("report.html"), help="where the report is written (default: report.html)")
    page = commands.add_parser("dashboard", help="four engines on a simulated market, on a page in your browser")
    page.add_argument("--port", type=int, default=8000, help="the port of this machine that it is served at; 0 for any (default: 8000)")
    page.add_argument("--speed", type=float, default=2.0, metavar="N", help="hours of the market in a second (default: 2)")
    page.add_argument("--seconds", type=float, metavar="N", help="end by itself after so many seconds")
    page.add_argument("--no-commands", action="store_true", help="only show: take no instructions")
    page.add_argument("--open", action="store_true", help="open the page in your browser")
    check = commands.add_parser("verify", help="read and fold a whole journal: its chain, every record, its snapshot")
    check.add_argument("file", type=Path, help="a journal of SQLite, or exported JSON lines")
    export = commands.add_parser("export", help="a journal as JSON lines, or its postings as CSV or parquet")
    export.add_argument("file", type=Path, help="a journal of SQLite, or exported JSON lines")
    export.add_argument("--format", choices=("jsonl", "csv", "parquet"), default="jsonl", help="default: jsonl")
    export.add_argument("--out", type=Path, help="where it is written (default: standard output; parquet needs a file)")
    trial = commands.add_parser("trial", help="engines, books, journal and a venue through all faults, decided by a seed")
    trial.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    trial.add_argument("--seeds", type=int, default=1, help="how many seeds are run (default: 1)")
    trial.add_argument("--rows", type=int, default=400, help="minutes of the market in each (default: 400)")
    _doctor_options(commands.add_parser("doctor", help="look at a venue and at keys to it before money is trusted to them"))
    args = parser.parse_args(argv)
    try:
        if args.command == "doctor":
            return _doctor(args)
        if args.command == "dashboard":
            return _dashboard(args)
        if args.command == "verify":
            return _verify(args.file)
        if args.command == "export":
            return _export(args.file, args.format, args.out)
        if args.command == "trial":
            return _trial(args.seed, args.seeds, args.rows)
        return _demo(args.out)
    except (SleevesError, OSError) as error:
        print(f"sleeves: {error}", file=sys.stderr)
        return 2


@contextmanager
def _journal(file: Path) -> Iterator[Journal]:
    """A copy of a journal for reading, whichever way it was kept."""
    if not file.is_file():
        raise JournalError(f"there is no journal {file}")
    with file.open("rb") as head:
        lines = head.read(1) == b"{"
    if lines:
        with file.open(encoding="ascii", errors="surrogateescape") as text:
            yield Memory.read(text)
        return
    from .journals import SQLite

    with SQLite.reading(file) as journal:
        yield journal


def _verify(file: Path) -> int:
    from .verify import verify

    try:
        with _journal(file) as journal:
            print(verify(journal))
    except JournalError as error:
        print(f"sleeves: {error}", file=sys.stderr)
        return 1
    return 0


def _export(file: Path, form: str, out: Path | None) -> int:
    from . import export

    if form == "parquet" and out is None:
        print("sleeves: parquet is written to a file: --out FILE", file=sys.stderr)
        return 2
    with _journal(file) as journal:
        if form == "parquet":
            export.parquet(journal, out)
            return 0
        lines = export.json_lines(journal) if form == "jsonl" else export.csv_lines(journal)
        if out is None:
            sys.stdout.writelines(lines)
        else:
            with out.open("x", encoding="utf-8", newline="") as text:
                text.writelines(lines)
    return 0


def _trial(seed: int, seeds: int, rows: int) -> int:
    from .sim.trial import Trial

    if seeds < 1 or rows < 2:
        raise JournalError(f"a trial needs at least one seed and two rows, not {seeds} and {rows}")
    for one in range(seed, seed + seeds):
        try:
            print(Trial(one, rows=rows).run(), flush=True)
        except AssertionError as error:
            print(f"sleeves: the books did not hold: {error}\nagain: sleeves trial --seed {one} --rows {rows}", file=sys.stderr)
            return 1
    return 0


def _demo(out: Path) -> int:
    from .demo import run

    report = run()
    print(report)
    print(
        "\nA return counts what a sleeve did with the money it had: what it swept back early is safe, and no longer in it.\n"
        "Tradeable is a limit that rises by what is swept; what can be allocated from it is bounded by the coins that are there."
    )
    for name in report.story.sleeves:
        print()
        print(report.explain(name))
    print()
    print("\n".join(report.notes()))
    print()
    try:
        report.save(out)
    except MissingExtra as error:
        print(f"no pictures: {error}")
    else:
        print(f"wrote {out}: open it in a browser")
    return 0 if report.proof.holds else 1


# -- the page ------------------------------------------------------------------------------------------------------------


def _dashboard(args: argparse.Namespace) -> int:
    import anyio

    if not 0.01 <= args.speed <= 1_000:
        raise VaultError(f"--speed {args.speed:g} must be from 0.01 to 1000 hours of the market in a second")
    if args.seconds is not None and not 0 < args.seconds < float("inf"):
        raise VaultError(f"--seconds {args.seconds:g} must be above zero")
    try:
        anyio.run(_show, args)
    except KeyboardInterrupt:
        print()
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return 0


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _show(args: argparse.Namespace) -> None:
    """The demo's market and its page, side by side, until it is over or interrupted."""
    from contextlib import AsyncExitStack
    from math import inf

    import anyio

    from .control import Control
    from .dashboard import serve
    from .dashboard.demo import TITLE, market
    from .live import trade
    from .pulse import Pulse

    made = market(1 / (2 * args.speed))
    pulse = Pulse(most_silence=None)

    def ready(page: Served) -> None:
        print(f"{TITLE}\nopen {page.login}\n(the address has the token in it: it is for you alone; Ctrl-C ends it)", flush=True)
        if args.open:
            _open(page.login)

    with anyio.move_on_after(inf if args.seconds is None else args.seconds):
        async with AsyncExitStack() as stack:
            control = None if args.no_commands else await stack.enter_async_context(Control(made.desk, made.venue))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            terms = {"control": control, "pulse": pulse, "title": TITLE, "depth": made.depth, "port": args.port, "on_ready": ready}
            tasks.start_soon(partial(serve, made.desk, **terms))
            await trade(made.desk, made.venue, pulse=pulse)
            print("the market is played to its end: the page stays as it is", flush=True)
            await anyio.sleep_forever()


def _open(address: str) -> None:
    """Have a browser show an address, without waiting for it."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


# -- the doctor ----------------------------------------------------------------------------------------------------------

_FOR = {
    "kraken": ("pair", "key_env", "keys", "key", "nonces", "base_url", "tier", "no_order"),
    "ccxt": ("pair", "key_env", "keys", "key", "nonces", "base_url", "sandbox"),
    "jupiter": ("key_env", "keys", "key", "base_url", "rpc", "wallet", "dex", "jito"),
    "drift": ("pair", "key_env", "keys", "key", "rpc", "wallet", "jito", "genesis"),
    "velocity": ("pair", "key_env", "keys", "key", "rpc", "wallet", "jito", "genesis"),
    "velocity-devnet": ("pair", "key_env", "keys", "key", "rpc", "wallet", "jito", "genesis"),
}
"""Which options are for which kind of venue; the others are for all."""


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Looks at clocks, keys and what they may do, markets, fees and balances, and sends no order. Without keys it looks at what is "
        "public. Kraken's keys are taken from KRAKEN_API_KEY and KRAKEN_PRIVATE_KEY where nothing else is said. Exits with 0 where "
        "nothing speaks against trading there, with 1 where something does."
    )
    parser.add_argument("venue", help="kraken, jupiter, velocity, velocity-devnet, drift, or ccxt:EXCHANGE by ccxt's name of it")
    parser.add_argument("--pair", action="append", metavar="SYMBOL", help="a market to look at; may be given several times")
    keys = parser.add_argument_group("keys, to be read and never shown").add_mutually_exclusive_group()
    keys.add_argument("--key-env", metavar="PREFIX", help="variables PREFIX + NAME_KEY, NAME_SECRET and, if there is one, NAME_PASSPHRASE")
    keys.add_argument("--keys", type=Path, metavar="FILE", help="an encrypted file of keys; its passphrase is asked for")
    parser.add_argument("--key", metavar="NAME", help="the name of the key in there (default: main)")
    parser.add_argument("--nonces", type=Path, metavar="FILE", help="the file of nonces that a desk uses with this key; it must not run")
    parser.add_argument("--base-url", metavar="URL", help="another host than the venue's own")
    parser.add_argument("--tier", choices=("starter", "intermediate", "pro"), help="kraken: the account's (default: starter)")
    parser.add_argument("--no-order", action="store_true", help="kraken: do not have an order checked either (validate)")
    parser.add_argument("--sandbox", action="store_true", help="ccxt: the exchange's host for tests")
    parser.add_argument("--rpc", "--url", dest="rpc", metavar="URL", help="on Solana: a node (default: SOLANA_RPC_URL)")
    parser.add_argument("--wallet", metavar="ADDRESS", help="on Solana: the wallet's address; no key of it is needed")
    parser.add_argument("--genesis", metavar="HASH", help="drift, velocity: the hash that a chain of your own begins with")
    parser.add_argument("--dex", action="append", metavar="LABEL", help="jupiter: a DEX to swap on; may be given several times")
    parser.add_argument(
        "--jito", nargs="?", const="", metavar="URL", help="on Solana: look at a block engine too (default: the public one)"
    )
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for each answer (default: 10)")
    parser.add_argument("--json", action="store_true", help="print rows of JSON")


def _doctor(args: argparse.Namespace) -> int:
    import anyio

    from .venues import doctor

    kind, _, exchange = args.venue.partition(":")
    if kind not in _FOR or (kind == "ccxt") is not bool(exchange):
        raise VenueRejected(
            f"the doctor looks at kraken, jupiter, velocity, velocity-devnet, drift or ccxt:EXCHANGE, not at {args.venue!r}"
        )
    if not 0 < args.timeout < float("inf"):
        raise VenueRejected(f"--timeout {args.timeout} must be seconds above zero")
    for options in _FOR.values():
        for name in options:
            if name not in _FOR[kind] and getattr(args, name) not in (None, False):
                raise VenueRejected(f"--{name.replace('_', '-')} is not for {kind}")
    with ExitStack() as stack:
        source = _source(args, stack)
        name = args.key or "main"
        if "rpc" in _FOR[kind]:
            rpc = args.rpc or os.environ.get("SOLANA_RPC_URL")
            if not rpc:
                raise VenueRejected("a node is needed: --rpc URL, or SOLANA_RPC_URL")
            key = None if source is None else source.get(f"{name}.key")
            if kind == "jupiter":
                look = partial(doctor.jupiter, rpc, args.wallet, key=key, jito=args.jito, dexes=args.dex or ())
            else:
                terms = {"key": key, "markets": args.pair or (), "jito": args.jito, "genesis": args.genesis}
                look = partial(doctor.drift, rpc, kind, args.wallet, **terms)
        else:
            keys = _from_environment(exchange or kind) if source is None else doctor.key_set(source, name, exchange or kind)
            ring = _ring(keys, args.nonces, stack)
            look = partial(doctor.ccxt, exchange, args.pair or (), keys=ring, sandbox=args.sandbox)
            if kind == "kraken":
                look = partial(doctor.kraken, args.pair or (), keys=ring, tier=args.tier or "starter", validate=not args.no_order)
        with redirect_stdout(sys.stderr):  # what libraries say meanwhile is no row
            found = anyio.run(partial(look, base_url=args.base_url, timeout=args.timeout))
    if args.json:
        for row in doctor.rows(found):
            print(json.dumps(row))
    else:
        print(found)
    return 0 if found.fit else 1


def _source(args: argparse.Namespace, stack: ExitStack) -> SecretSource | None:
    """Where keys are to be taken from, where that was said."""
    from getpass import getpass

    from .keys import EncryptedFile, Environment

    if args.keys is not None:
        return stack.enter_context(EncryptedFile.open(args.keys, lambda: getpass(f"passphrase of {args.keys}: ")))
    if args.key_env is not None:
        return Environment(args.key_env)
    if args.key is not None:
        raise VenueRejected("--key names a key in a source: --keys FILE or --key-env PREFIX")
    return None


def _from_environment(venue: str) -> KeySet | None:
    """Kraken's keys from the two variables that its bots commonly have them in."""
    from .keys import Environment
    from .venues.doctor import key_pair

    if venue != "kraken" or not {"KRAKEN_API_KEY", "KRAKEN_PRIVATE_KEY"} & os.environ.keys():
        return None
    return key_pair(Environment("KRAKEN_"), "api_key", "private_key", venue)


def _ring(keys: KeySet | None, nonces: Path | None, stack: ExitStack) -> KeyRing | None:
    """One key, and the nonces that it goes on with."""
    from .keys import KeyRing, Nonces

    if keys is None:
        if nonces is not None:
            raise VenueRejected("--nonces are those of a key, and there is none")
        return None
    clock = time.time_ns
    return KeyRing([keys], clock=clock, nonces=Nonces(clock) if nonces is None else stack.enter_context(Nonces.open(nonces, clock)))
