"""Who carries out the trials: this process, a pool of processes of its own, or any executor that was handed in.

Chunks of trials are sent, few at a time. A chunk whose worker died is sent again, by itself, so that what killed it is found; a
trial that killed its worker twice is given up. It knows nothing of figures, files of kept trials, or tables.
"""

from __future__ import annotations

import concurrent.futures as cf
import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from attrs import define, evolve

from ..errors import BadTape, VaultError
from ..sim import Tape
from .grid import Params
from .trial import Carried, Job, Missing, Outcome, Sent, carry_out, error_text, forget

__all__ = ["Crew", "Processes", "crew_of", "work"]

LIVES = 2
"""A trial that has killed so many workers, for sure, is given up."""

AHEAD = 2
"""Chunks in flight for each worker: one under way, and one that waits for it."""

UNKNOWN = 32
"""Workers that an executor is taken to have which does not say how many."""


@define(eq=False)
class _Chunk:
    trials: Sequence[tuple[int, Params]]
    deaths: int = 0
    """How many workers it killed for sure."""
    suspect: bool = False
    """A worker died while it was in flight: it is sent alone, so that it is known whether it was this one."""
    carried: bool = False
    """What is in the tapes' files is sent along."""
    attempt: int = 0


class Crew(AbstractContextManager["Crew"]):
    """An executor that was handed in, with the tapes where its workers find them. It is not shut down at the end."""

    def __init__(self, executor: cf.Executor, job: Job, tapes: Sequence[Tape], workers: int | None) -> None:
        self.job = job
        self._executor = executor
        self._tapes = tapes
        self._data: Any = None
        self._folder: str | None = None
        self._files = 0
        self._sent: list[Sent | Tape] = []
        self._by_reference = _shares_memory(executor)
        self.client = getattr(executor, "_client", None)
        """Dask's own client, which knows how many workers there are and how to send them something once."""
        self.workers = workers or _workers_of(executor, self.client)

    def __enter__(self) -> Crew:
        if self._by_reference:
            self._sent = list(self._tapes)
            return self
        try:
            for tape in self._tapes:
                self._sent.append(self._send(tape))
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close(at_once=kind is not None)
        finally:
            self._clean()

    def _clean(self) -> None:
        for one in self._sent:
            if isinstance(one, Sent):
                forget(one.key)
        self._data = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, tape: Tape) -> Sent:
        """Where workers find the tape: in its own file if it has one, else in one that lasts as long as the sweep."""
        if tape.path is None:
            file = self._file()
            try:
                tape.save(file)
            except BadTape:  # there is something in it that no such file keeps
                file.write_bytes(pickle.dumps(tape))
                return Sent(str(file), b"", str(file))
            tape = Tape.open_file(file)
        pickled = pickle.dumps(tape)
        return Sent(hashlib.sha256(pickled).hexdigest(), pickled)

    def _file(self) -> Path:
        """A new file in a folder of our own."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="sleeves-sweep-")
        self._files += 1
        return Path(self._folder) / f"{self._files}.tape"

    def submit(self, chunk: _Chunk) -> cf.Future[list[Outcome] | Missing]:
        data = self._carried() if chunk.carried else None
        return self._executor.submit(carry_out, self.job, self._sent, chunk.trials, data, chunk.attempt)

    def _carried(self) -> Any:
        """What is in the tapes, by key; with Dask it is sent to its workers once, and stays there."""
        if self._data is None:
            data = {one.key: self._carry(tape) for one, tape in zip(self._sent, self._tapes, strict=True) if isinstance(one, Sent)}
            self._data = data if self.client is None else self.client.scatter([data], broadcast=True, hash=False)[0]
        return self._data

    def _carry(self, tape: Tape) -> Carried:
        file = self._file()
        try:
            tape.save(file)
            return Carried(file.read_bytes(), False, tape.digest())
        except BadTape:
            return Carried(pickle.dumps(tape), True, tape.digest())
        finally:
            file.unlink(missing_ok=True)

    def lost(self) -> None:
        """A worker died with what it had: what was sent once is sent again when it is asked for."""
        if self.client is not None:
            self._data = None

    @property
    def sends_once(self) -> bool:
        """Whether sending along with each chunk costs no more than with one."""
        return self.client is not None

    def renew(self) -> bool:
        """Begin anew after the executor broke. False where it is not ours to make."""
        return False

    def close(self, *, at_once: bool) -> None:
        """End what is ours to end."""


class Processes(Crew):
    """A pool of processes of its own: made anew when it breaks, and gone at the end, whatever happens."""

    def __init__(self, job: Job, tapes: Sequence[Tape], workers: int | None) -> None:
        self._count = workers or _cores()
        self._context = _Recorded()
        super().__init__(self._made(), job, tapes, self._count)

    def _made(self) -> cf.ProcessPoolExecutor:
        return cf.ProcessPoolExecutor(self._count, mp_context=self._context, initializer=_begin_worker)

    def renew(self) -> bool:
        self.close(at_once=True)
        self._executor = self._made()
        return True

    def can_begin(self) -> bool:
        """Whether its processes come up at all: asked when it broke before anything was done."""
        self.renew()
        try:
            return self._executor.submit(os.getpid).result() > 0
        except cf.BrokenExecutor:
            return False

    def close(self, *, at_once: bool) -> None:
        if at_once:
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in self._context.made:
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        for process in self._context.made:
            process.join()
        self._context.made.clear()


class _Made(Crew):
    """What a function of the user makes: made anew when it breaks, and shut down at the end."""

    def __init__(self, make: Callable[[], cf.Executor], job: Job, tapes: Sequence[Tape], workers: int | None) -> None:
        self._make = make
        super().__init__(_executor(make()), job, tapes, workers)

    def renew(self) -> bool:
        self.close(at_once=True)
        self._executor = _executor(self._make())
        return True

    def close(self, *, at_once: bool) -> None:  # noqa: ARG002 what runs in another's pool cannot be ended sooner
        self._executor.shutdown(wait=True, cancel_futures=True)


def crew_of(executor: object, job: Job, tapes: Sequence[Tape], workers: int | None) -> Crew:
    """Raises `VaultError` for what is no executor, and makes none."""
    if executor is None:
        return Processes(_for_processes(job), tapes, workers)
    if isinstance(executor, cf.Executor):
        return Crew(executor, job, tapes, workers)
    if callable(executor) and not isinstance(executor, type):
        return _Made(executor, job, tapes, workers)
    raise VaultError(f'executor is a concurrent.futures.Executor, a function that makes one, "here" or None, not {executor!r:.80}')


def _executor(made: object) -> cf.Executor:
    if not isinstance(made, cf.Executor):
        raise VaultError(f"the function given as executor makes a {type(made).__name__}, and no concurrent.futures.Executor")
    return made


def _shares_memory(executor: cf.Executor) -> bool:
    """Whether its workers are threads of this interpreter, which see the very tapes that are here."""
    other = getattr(cf, "InterpreterPoolExecutor", ())
    return isinstance(executor, cf.ThreadPoolExecutor) and not isinstance(executor, other)


def _workers_of(executor: cf.Executor, client: Any) -> int:
    if client is not None:
        return max(1, sum(int(count) for count in client.nthreads().values()))
    most: Any = getattr(executor, "_max_workers", None)
    return most if isinstance(most, int) and most > 0 else UNKNOWN


def _cores() -> int:
    """The cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


# -- the work ------------------------------------------------------------------------------------------------------------


def work(crew: Crew, trials: Sequence[tuple[int, Params]], size: int | None) -> Iterator[list[Outcome]]:
    """The outcomes of all trials, as they come: each of them once.

    Raises `VaultError` where an own pool cannot begin, and when an executor that was handed in broke; what came until then has come.
    """
    if not trials:
        return
    size = size or max(1, min(16, -(-len(trials) // (crew.workers * 8))))
    waiting = deque(_Chunk(trials[first : first + size]) for first in range(0, len(trials), size))
    flying: dict[cf.Future[list[Outcome] | Missing], _Chunk] = {}
    begun = False
    try:
        while waiting or flying:
            broken = _fill(crew, waiting, flying)
            done, _ = cf.wait(flying, timeout=0.5, return_when=cf.FIRST_COMPLETED)
            dead: list[tuple[_Chunk, BaseException]] = []
            while done:
                future = done.pop()
                chunk = flying.pop(future)
                try:
                    answer = future.result()
                except (Exception, cf.CancelledError) as ended:
                    dead.append((chunk, ended))
                    if isinstance(ended, cf.BrokenExecutor):
                        broken = ended
                        done |= cf.wait(flying).done if flying else set()  # all others of it are broken, or done, as well
                    continue
                begun = True
                if isinstance(answer, Missing):
                    waiting.appendleft(evolve(chunk, carried=True, attempt=chunk.attempt + 1))
                    if crew.sends_once:
                        for one in waiting:
                            one.carried = True
                else:
                    yield answer
            if broken is not None and not begun and isinstance(crew, Processes) and not crew.can_begin():
                raise VaultError(_NOT_BEGUN) from broken
            for chunk, error in dead:
                if not begun and isinstance(error, _CANNOT):
                    raise VaultError(f"no worker could take up the work ({error_text(error)}): {_IMPORTABLE}") from error
                for again in _after_death(chunk, error):
                    if isinstance(again, Outcome):
                        yield [again]
                    else:
                        waiting.append(again)
            if dead:
                crew.lost()
            if broken is not None and waiting and not crew.renew():
                raise VaultError(
                    f"the executor broke ({error_text(broken)}): hand in a function that makes one, and it is made anew"
                ) from broken
    finally:
        for future in flying:
            future.cancel()


_NOT_BEGUN = (
    "the pool's processes ended before they did anything. In a script, what starts a sweep stands under "
    'if __name__ == "__main__": since each process of the pool imports the script; see also what they wrote to stderr'
)


def _fill(crew: Crew, waiting: deque[_Chunk], flying: dict[cf.Future[Any], _Chunk]) -> cf.BrokenExecutor | None:
    """Send chunks as long as there is room: suspects last, and each of them alone. The error where the executor is broken."""
    while waiting and len(flying) < crew.workers * AHEAD:
        suspect = all(chunk.suspect for chunk in waiting)
        if (suspect and flying) or any(chunk.suspect for chunk in flying.values()):
            break
        chunk = waiting[0] if suspect else next(chunk for chunk in waiting if not chunk.suspect)
        try:
            future = crew.submit(chunk)
        except cf.BrokenExecutor as error:
            return error
        except RuntimeError as error:
            raise VaultError(f"the executor takes no work: {error_text(error)}") from error
        waiting.remove(chunk)
        flying[future] = chunk
    return None


_CANNOT = (AttributeError, ImportError, TypeError, pickle.PicklingError)
"""What is wrong where a worker cannot even read what it was sent."""
_IMPORTABLE = "make_desk, measure and all that they use must be importable where the workers are"


def _after_death(chunk: _Chunk, error: BaseException) -> Iterator[_Chunk | Outcome]:
    """What becomes of a chunk with which no worker came back: its trials one by one, or the outcome of one that is given up.

    Where others were in flight it is not sure which of them ended the worker: a suspect is sent alone, and then it is. Dask says
    of a chunk that it ended several workers, one after the other.
    """
    if len(chunk.trials) > 1 or not chunk.suspect:
        for trial in chunk.trials:
            yield _Chunk((trial,), suspect=True, carried=chunk.carried, attempt=chunk.attempt + 1)
        return
    deaths = chunk.deaths + (LIVES if type(error).__name__ == "KilledWorker" else 1)
    if deaths >= LIVES:
        yield Outcome(chunk.trials[0][0], {}, f"given up, no worker came back with it: {error_text(error)}")
    else:
        yield evolve(chunk, deaths=deaths, attempt=chunk.attempt + 1)


# -- in the processes of an own pool -------------------------------------------------------------------------------------


class _Process(SpawnProcess):
    """A process that does not hear Ctrl-C, from its first moment on: what it would say of it helps nobody."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):
            super().start()
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child has what its parent has; here it only waits
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Recorded(SpawnContext):
    """The context that starts processes afresh, which remembers those that it started: so that they can be ended at once."""

    def __init__(self) -> None:
        self.made: list[SpawnProcess] = []

    def Process(self, *args: Any, **named: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802 the context's own name
        process = _Process(*args, **named)
        self.made.append(process)
        return process


def _begin_worker() -> None:
    """Leave Ctrl-C to the process that is in charge, and end when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    with suppress(OSError):
        connection.wait([sentinel])
    os._exit(1)


def _for_processes(job: Job) -> Job:
    """The job as it can be sent to another process. Raises `VaultError` where it cannot, or where this process is itself just beginning."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise VaultError('a sweep was started while a process of its pool imported the script: put it under if __name__ == "__main__":')
    for what, function in (("make_desk", job.make_desk), ("measure", job.measure)):
        if _interactive(function):
            function = _by_value(function, what)
            job = evolve(job, make_desk=function) if what == "make_desk" else evolve(job, measure=function)
        try:
            pickle.dumps(function)
        except Exception as error:
            raise VaultError(
                f'{what} cannot be sent to another process ({error_text(error)}): give a function of a module, or executor="here"'
            ) from error
    return job


def _interactive(function: object) -> bool:
    """Whether it was written in a notebook or at a prompt, where no other process could import it from."""
    inner = function
    while hasattr(inner, "func"):
        inner = inner.func
    return getattr(inner, "__module__", "") == "__main__" and not hasattr(sys.modules["__main__"], "__file__")


class _ByValue:
    """A function that travels with its code."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._function: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self._function is None:
            self._function = pickle.loads(self._data)
        return self._function(*args, **named)

    def __reduce__(self) -> tuple[type[_ByValue], tuple[bytes]]:
        return _ByValue, (self._data,)


def _by_value(function: Callable[..., Any], what: str) -> _ByValue:
    try:
        import cloudpickle
    except ImportError as error:
        raise VaultError(
            f"{what} was written in a notebook, where other processes cannot import it from: put it in a file beside it, "
            'run with executor="here", or install cloudpickle (the extra "notebook" brings it)'
        ) from error
    return _ByValue(cloudpickle.dumps(function))
