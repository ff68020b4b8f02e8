"""Journals that outlive the process: SQLite in a file (the default) and PostgreSQL for several processes or machines.

    books = Books(SQLite.open("main.sleeves"))
    books = Books(Postgres.open("postgresql://desk@db.internal/trading"))

Both keep the same records in the same chain; `sleeves.journal` says what any journal promises. `Postgres.open` needs the
`postgres` extra.
"""

from __future__ import annotations

from .postgres import Postgres
from .sqlite import SQLite

__all__ = ["Postgres", "SQLite"]
