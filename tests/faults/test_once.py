"""Short runs of `fills.py` and `timeouts.py`: exactly once, however often and in whatever order it is told."""

from __future__ import annotations

import json

import fills
import pytest
import timeouts

from sleeves.books import Books
from sleeves.desk import Desk


def test_fills_told_often_and_shuffled_over_restarts_are_each_booked_once(capsys):
    assert fills.main(["--fills", "2000", "--restarts", "10", "--seed", "2"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["fills"] == 2000 and seen["told"] > 5000 and not seen["broken"]


def test_orders_whose_answer_was_lost_are_resolved_as_the_venue_has_them(capsys):
    assert timeouts.main(["--orders", "400", "--seed", "2"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["orders"] == 400 and min(seen["became"].values()) > 10 and set(seen["became"]) == {"filled", "open", "unknown"}


def test_fills_sees_a_fact_that_is_booked_twice(monkeypatch):
    monkeypatch.setattr(Books, "fact", lambda self, key: self.facts.get(key))
    with pytest.raises(Exception, match="journaled already"):
        fills.main(["--fills", "1000", "--restarts", "5"])


def test_fills_sees_a_fact_that_is_lost(monkeypatch, capsys):
    step = Desk.step
    monkeypatch.setattr(Desk, "step", lambda self, event: () if self.books.reopened and event.trade_id.endswith("7") else step(self, event))
    assert fills.main(["--fills", "1000", "--restarts", "5"]) == 1
    assert json.loads(capsys.readouterr().out)["broken"]
