"""Real JupyterLab and marimo servers for tests, as processes of their own on a free port, with nothing of this user's settings."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Lab", "cells", "jupyterlab", "marimo", "notebook"]

PATIENCE = 90.0
"""Seconds that a server may take to begin: a busy machine starts JupyterLab slowly."""


def notebook(path: Path, *sources: str) -> Path:
    """Write a notebook of code cells."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def cells(*sources: str) -> str:
    """The text of a marimo notebook: an App whose cells are these sources, each with the names that it makes and takes."""
    import marimo._ast.codegen as codegen
    from marimo._ast.cell import CellConfig

    names = ["_"] * len(sources)
    return str(codegen.generate_filecontents(list(sources), names, [CellConfig() for _ in sources]))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _served(command: Sequence[str], folder: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process while its page at `ready` answers; ended with all its children at the end."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "MARIMO", "PYTEST"))}
    env |= {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    env |= {
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_DATA_HOME": str(home / "data"),
    }
    told = folder / "server.txt"
    with told.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + PATIENCE
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{command[2]} did not begin: {re.sub(r'token=[0-9a-f]+', 'token=...', told.read_text()[-3000:])}")
            time.sleep(0.2)
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(15)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


_READY = """
(name) => {
  const shown = window.jupyterapp.shell.currentWidget;
  const session = shown?.sessionContext;
  return shown?.context?.path === name && shown.context.isReady && session?.isReady
    && session.session?.kernel?.connectionStatus === "connected" && shown.content?.widgets?.length > 1;
}
"""
"""Whether this notebook is the one that is shown, with its cells, and its kernel listens."""


class Lab:
    """A JupyterLab with this folder's notebooks."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address, token

    def open(self, context: Any, name: str) -> Any:
        """A page with the notebook, its kernel connected."""
        page = context.new_page()
        page.goto(f"{self.address}/lab/tree/{name}?token={self.token}&reset")
        page.wait_for_function("window.jupyterapp !== undefined", timeout=PATIENCE * 1_000)
        page.evaluate("() => window.jupyterapp.restored")
        page.wait_for_function(_READY, arg=name, timeout=PATIENCE * 1_000)
        return page

    def command(self, page: Any, name: str, *, wait: bool = True) -> None:
        """Have JupyterLab do a command, such as "notebook:run-all-cells"."""
        page.evaluate(f"() => {{ const done = window.jupyterapp.commands.execute({name!r}); return {'done' if wait else 'null'}; }}")


@contextmanager
def jupyterlab(folder: Path) -> Iterator[Lab]:
    """A JupyterLab over a folder, on loopback, with a token."""
    port, token = _free_port(), secrets.token_hex(16)
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}"]
    command += ["--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}", "--allow-root"]
    command += [
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    with _served(command, folder, f"{address}/api/status?token={token}"):
        yield Lab(address, token)


@contextmanager
def marimo(path: Path, mode: str) -> Iterator[str]:
    """marimo over a notebook, in a mode, "run" or "edit", on loopback; its address."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "marimo", "--quiet", mode, path.name, "--headless", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--no-token", *(["--skip-update-check"] if mode == "edit" else [])]
    with _served(command, path.parent, f"{address}/health"):
        yield address
