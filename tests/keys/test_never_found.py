"""A sentinel is pushed through every public object of keys, every log level and every way to fail, and never found again."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import json
import logging
import logging.handlers
import sys
import traceback

import anyio
import anyio.lowlevel
import keyring.backend
import pytest
import structlog
import trio

from keys.sentinel import Sentinel, errors, renderings
from sleeves import keys
from sleeves.keys import (
    Callback,
    EncryptedFile,
    Environment,
    Health,
    KeyRing,
    Keyring,
    KeySet,
    Moved,
    NoKey,
    Nonces,
    Right,
    Rights,
    Secret,
    Sign,
    sources,
)
from sleeves.market import DAY, SECOND

NOW = 1_790_000_000 * SECOND
GOOD = Rights.of("read", "trade", addresses=["203.0.113.7"])
both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(sources, "COST", sources.Cost(2**4, 8, 1))


@pytest.fixture
def sentinel():
    return Sentinel()


@pytest.fixture
def log():
    """All that the package logs, at every level, as text, as the record's own attributes, as JSON and as it would cross a wire."""
    out = io.StringIO()

    class Everything(logging.Handler):
        def emit(self, record):
            out.write(self.format(record) + "\n" + repr(vars(record)) + "\n" + json.dumps(vars(record), default=repr, skipkeys=True) + "\n")
            try:
                out.write(repr(logging.handlers.SocketHandler("nowhere", 0).makePickle(record)) + "\n")
            except (TypeError, AttributeError) as error:  # what is not pickled is not sent
                out.write("\n".join(errors(error)))

    handler, logger = Everything(), logging.getLogger("sleeves")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(1)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(before)


class InMemory(keyring.backend.KeyringBackend):
    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return Sentinel(7).value

    def set_password(self, service, username, password):
        raise OSError(password)

    def delete_password(self, service, username):
        raise OSError(Sentinel(7).value)

    def __repr__(self):
        return "InMemory()"


def key_set(sentinel, name="main", **more):
    values = {"api_key": Secret(sentinel.value + name), "secret": Secret(sentinel.value), "passphrase": Secret(sentinel.value)}
    return KeySet(name, venue="kraken", **values, **{"rights": GOOD, **more})


def ring_of(sentinel, **more):
    return KeyRing([key_set(sentinel), key_set(sentinel, "spare")], clock=lambda: NOW, **more)


def held_by(ring, *searches):
    """A key, held: looked at while it is, and given back when its operation is over."""

    async def main():
        async with ring.use("core:main:USD", "kraken") as held:
            for search in searches:
                assert search.found(held) == []
            return held

    return anyio.run(main)


def kept_file(sentinel, folder):
    made = EncryptedFile.create(folder / "main.keys", lambda: Sentinel(7).value)
    made.put("main.secret", Secret(sentinel.value))
    return made


def moved(sentinel):
    told = []
    ring = ring_of(sentinel)
    ring.listen(told.append)
    ring.told("main", Sign.INVALID, why=f"bad signature {sentinel.value}, key {sentinel.value}main")
    return told


PUBLIC = {
    "Callback": lambda s, folder: Callback(lambda name: s.value),
    "EncryptedFile": kept_file,
    "Environment": lambda s, folder: Environment(),
    "Health": lambda s, folder: Health.DEAD,
    "Held": lambda s, folder: held_by(ring_of(s, nonces=Nonces(lambda: NOW)), s),
    "KeyRing": lambda s, folder: ring_of(s, nonces=opened(folder)),
    "KeySet": lambda s, folder: key_set(s),
    "Keyring": lambda s, folder: Keyring("test", InMemory()),
    "Moved": lambda s, folder: moved(s),
    "Nonces": lambda s, folder: drawn(s, folder),
    "Right": lambda s, folder: Right.TRADE,
    "Rights": lambda s, folder: GOOD,
    "Secret": lambda s, folder: Secret(s.value),
    "SecretSource": lambda s, folder: keys.SecretSource,
    "Sign": lambda s, folder: Sign.NONCE,
    "check_expiry": lambda s, folder: keys.check_expiry(key_set(s, expires_at=NOW + DAY), NOW),
    "check_rights": lambda s, folder: keys.check_rights(GOOD),
    "expires_in": lambda s, folder: keys.expires_in(key_set(s, expires_at=NOW + DAY), NOW),
    "next_health": lambda s, folder: keys.next_health(Health.HEALTHY, Sign.NONCE, "key main"),
    **{
        name: (lambda s, folder, name=name: failures_of(s, folder, name))
        for name in keys.__all__
        if isinstance(getattr(keys, name), type) and issubclass(getattr(keys, name), Exception)
    },
    **{name: (lambda s, folder, name=name: getattr(keys, name)) for name in ("HIDDEN", "MICROSECOND", "MILLISECOND", "TRANSITIONS")},
}


OPEN = []
"""Nonces in files that a test is to close."""


def opened(folder):
    OPEN.append(Nonces.open(folder / "nonces", lambda: NOW))
    return OPEN[-1]


def drawn(sentinel, folder):
    nonces = opened(folder)
    nonces.draw(key_set(sentinel).fingerprint)
    return nonces


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def failing_calls(sentinel, folder):
    """Every way to fail with a secret at hand."""
    ring, one, file = ring_of(sentinel), key_set(sentinel), kept_file(sentinel, folder)
    wrong = {"venue": "kraken", "api_key": Secret("x"), "secret": Secret("x")}

    def raises(*args):
        held = sentinel.value
        raise ConnectionError(f"POST key={held}")

    def in_a_use():
        async def main():
            async with ring.use("a", "kraken") as held:
                with held.secret.reveal_bytes() as raw:
                    raise ConnectionError(len(raw))

        anyio.run(main)

    def without_nonces():
        async def main():
            async with ring.use("a", "kraken") as held, held.turn():
                pass

        anyio.run(main)

    def all_dead():
        other = ring_of(sentinel)
        for name in other.names:
            other.told(name, Sign.INVALID, why=sentinel.value)
        held_by(other)

    return [
        lambda: Secret([sentinel.value]),
        lambda: Secret(sentinel.value + "\ud800"),
        lambda: Secret(sentinel.value * 2_000),
        lambda: Secret(sentinel.value.encode() + b"\xff").reveal(),
        lambda: Secret(sentinel.value).hide(sentinel.value.encode()),
        lambda: hash(Secret(sentinel.value)),
        lambda: json.dumps(Secret(sentinel.value)),
        lambda: Secret(sentinel.value) + "x",
        lambda: setattr(Secret(sentinel.value), "_masked", b""),
        lambda: KeySet("main", **{**wrong, "api_key": sentinel.value}),
        lambda: KeySet("main", **{**wrong, "secret": sentinel.value.encode()}),
        lambda: KeySet("main", **wrong, passphrase=sentinel.value),
        lambda: KeySet("main", **{**wrong, "secret": Secret(sentinel.value + "\n")}),
        lambda: KeySet("Main!", **{**wrong, "secret": Secret(sentinel.value)}),
        lambda: key_set(sentinel, rights=["read"]),
        lambda: key_set(sentinel, expires_at=1.5),
        lambda: KeyRing([sentinel.value], clock=lambda: NOW),
        lambda: KeyRing([one, one], clock=lambda: NOW),
        lambda: KeyRing([one], clock=lambda: None),
        lambda: KeyRing([key_set(sentinel, rights=None)], clock=lambda: NOW),
        lambda: KeyRing([key_set(sentinel, rights=Rights.of("withdraw"))], clock=lambda: NOW),
        lambda: KeyRing([key_set(sentinel, expires_at=NOW)], clock=lambda: NOW),
        lambda: ring.told("main", "tired", why=sentinel.value),
        lambda: ring.told("other", Sign.NONCE, why=sentinel.value),
        lambda: ring.clear("main", by="ann", why=sentinel.value),
        lambda: Callback(raises).get("main.key"),
        lambda: Callback(lambda name: [sentinel.value]).get("main.key"),
        lambda: Environment(environ={"SLEEVES_OTHER": sentinel.value}).get("main.key"),
        lambda: Keyring("test", InMemory()).put("main.key", Secret(sentinel.value)),
        lambda: Keyring("test", InMemory()).put("main.key", sentinel.value),
        lambda: file.put("main.key", sentinel.value),
        lambda: file.get("main.other"),
        lambda: EncryptedFile.open(file.path, lambda: sentinel.value),
        lambda: EncryptedFile.open(file.path, sentinel.value),
        lambda: EncryptedFile.open(file.path, raises),
        lambda: EncryptedFile.create(folder / "new", lambda: sentinel.value[:11]),
        lambda: EncryptedFile.create(file.path, lambda: sentinel.value),
        lambda: file.change_passphrase(lambda: [sentinel.value]),
        in_a_use,
        without_nonces,
        all_dead,
    ]


def failures_of(sentinel, folder, name):
    """All that fails with errors of a class."""
    found = [error for error in map(caught, failing_calls(sentinel, folder)) if isinstance(error, getattr(keys, name))]
    assert found or name in ("Unwritable",), name
    return found


def test_every_public_name_is_looked_at():
    assert set(PUBLIC) == set(keys.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_no_public_object_shows_it(name, sentinel, tmp_path, log):
    thing = PUBLIC[name](sentinel, tmp_path)
    texts = renderings(thing)
    for level in range(0, 60, 10):
        logging.getLogger("sleeves.test").log(level, "%s %r", thing, thing, extra={"thing": thing})
    for search in (sentinel, Sentinel(7)):
        assert search.found(*texts, tmp_path, log.getvalue()) == []
    if isinstance(thing, EncryptedFile):
        thing.close()
    while OPEN:
        OPEN.pop().close()


def test_a_thousand_failures_show_nothing(tmp_path, log):
    failed = 0
    for round_ in range(25):
        sentinel, folder = Sentinel(), tmp_path / str(round_)
        folder.mkdir()
        for call in failing_calls(sentinel, folder):
            error = caught(call)
            texts = errors(error)
            logging.getLogger("sleeves.test").error("it failed", exc_info=error)
            assert sentinel.found(*texts) == [], error
            failed += 1
        assert sentinel.found(log.getvalue(), folder) == []
        log.truncate(0)
    assert failed >= 1_000


def test_tracebacks_with_locals_of_the_standard_library_and_of_structlog_show_nothing(sentinel, tmp_path):
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=True, locals_max_string=10_000)
            ),
            structlog.processors.JSONRenderer(default=repr),
        ],
    )
    texts = []
    for call in failing_calls(sentinel, tmp_path):
        error = caught(call)
        texts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        logger.error("it failed", exc_info=error, key=key_set(sentinel), secret=Secret(sentinel.value))
    texts.append(out.getvalue())
    assert len(out.getvalue()) > 10_000
    assert sentinel.found(*texts) == []


def test_a_failure_inside_a_call_of_the_owners_shows_it_only_where_the_owner_named_it(sentinel):
    """What no library can do: a name of your own frame is shown. An expression is not."""
    secret = Secret(sentinel.value)

    def named():
        text = secret.reveal()
        raise ValueError(len(text))

    def not_named():
        raise ValueError(len(secret.reveal()))

    assert sentinel.found(caught(named))
    assert sentinel.found(caught(not_named)) == []


@both
def test_tasks_and_their_stacks_show_nothing(backend, sentinel, tmp_path, log):
    ring, texts = ring_of(sentinel, nonces=Nonces(lambda: NOW)), []

    async def operate(ring, held_all):
        async with ring.use("a", "kraken") as held, held.turn() as nonce:
            assert nonce
            with held.secret.reveal_bytes() as raw:
                assert len(raw) == 40
            held_all.append(held)
            await anyio.sleep(0.05)

    async def main():
        held_all = []
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(operate, ring, held_all, name=f"operation {number}")
            await anyio.sleep(0.01)
            assert held_all
            texts.extend(map(repr, anyio.get_running_tasks()))
            if backend == "asyncio":
                for task in asyncio.all_tasks():
                    out = io.StringIO()
                    task.print_stack(file=out)
                    texts.extend([repr(task), repr(task.get_coro()), out.getvalue(), *(repr(frame.f_locals) for frame in task.get_stack())])
                    texts.extend(_coroutines(task.get_coro()))
            else:
                root = trio.lowlevel.current_root_task()
                waiting = [root]
                while waiting:
                    task = waiting.pop()
                    texts.extend([repr(task), repr(task.coro), *_coroutines(task.coro)])
                    waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
            texts.extend([repr(held_all), str(held_all[0]), repr(vars(held_all[0])), repr(vars(ring))])
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert any("operation 1" in text for text in texts) and any("Held" in text for text in texts)
    assert sentinel.found(*texts, log.getvalue()) == []


def _coroutines(coro):
    while coro is not None and hasattr(coro, "cr_frame"):
        if coro.cr_frame is not None:
            yield repr(coro.cr_frame.f_locals)
        coro = coro.cr_await


def test_a_failure_in_a_task_group_shows_nothing(sentinel):
    ring = ring_of(sentinel)

    async def operate():
        async with ring.use("a", "kraken") as held:
            with held.secret.reveal_bytes() as raw:
                await anyio.lowlevel.checkpoint()
                raise ConnectionError(len(raw))

    async def main():
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(operate)

    for backend in ("asyncio", "trio"):
        with pytest.raises(BaseExceptionGroup) as failed:
            anyio.run(main, backend=backend)
        assert sentinel.found(failed.value) == []


def test_nothing_crosses_to_another_process(sentinel):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        for thing in (Secret(sentinel.value), key_set(sentinel), ring_of(sentinel), Nonces(lambda: NOW)):
            error = caught(lambda thing=thing: pool.submit(repr, thing).result(timeout=30))
            assert isinstance(error, TypeError)
            assert sentinel.found(error) == []


def test_what_an_unhandled_error_prints_shows_nothing(sentinel, tmp_path, capsys):
    for call in failing_calls(sentinel, tmp_path):
        error = caught(call)
        sys.excepthook(type(error), error, error.__traceback__)
    printed = capsys.readouterr()
    assert printed.err.count("Traceback") > 30
    assert sentinel.found(printed.err, printed.out) == []


def test_the_search_would_have_found_it(sentinel, tmp_path, log):
    """Each net of this file, with something in it."""
    logging.getLogger("sleeves.test").debug("at %s", sentinel.value)
    assert sentinel.found(log.getvalue())
    assert sentinel.found(Moved(1, "main", "kraken", "a", (Right.READ,), Health.HEALTHY, Health.DEAD, Sign.INVALID, None, sentinel.value))
    assert sentinel.found(NoKey(sentinel.value))
    assert sentinel.found({"inside": [Callback(lambda name: 1), sentinel.value]})
