"""Journals that outlive the process: SQLite in a file (the default) and PostgreSQL for several processes or machines.

    books = Books(SQLite.open("main.sleeves"))

Both keep the same records in the same chain; `sleeves.journal` says what any journal promises.
"""

from __future__ import annotations

from .sqlite import SQLite

__all__ = ["SQLite"]
