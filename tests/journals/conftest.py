"""One PostgreSQL server for all tests of journals; a test that crashes one starts its own."""

from __future__ import annotations

import itertools

import pytest

import postgres_server

_NAMES = (f"j{n}" for n in itertools.count())


@pytest.fixture(scope="session")
def server():
    if reason := postgres_server.available():
        pytest.skip(reason)
    with postgres_server.Server() as running:
        yield running


@pytest.fixture(scope="session")
def names():
    """Names that no other test's journal has."""
    return _NAMES
