"""What notebooks show of vaults, sleeves, inventories and the rest: every number exact, every name as text, unknown said."""

from __future__ import annotations

import copy
import itertools
import re
from html.parser import HTMLParser

import pytest

from helpers import BTCUSD, Puppet, carry, new_desk
from sleeves import EUR, FLASH, QUIET, USD, Books, CoreVault, Desk, SubAccount, Treasury
from sleeves.markup import block, cell, table
from sleeves.report import Report
from sleeves.riskview import RiskView
from sleeves.status import Hold

HOSTILE = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The cells of all tables, row by row, the words outside of them, and every tag: read as a browser would."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.rows, self.words, self.tags, self.open = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if any(tag in ("td", "th") for tag in self.open):
            self.rows[-1][-1] += data
        else:
            self.words.append(data)

    def row(self, head):
        return next(row[1:] for row in self.rows if row[0] == head)

    def figures(self, name):
        """What stands under a name, in each table that has it."""
        return [row[heads.index(name)] for heads, row in itertools.pairwise(self.rows) if name in heads]


ALLOWED = {"div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}


def shown(thing):
    page = Page(thing._repr_html_())
    assert not page.open, f"left open: {page.open}"
    assert set(page.tags) <= ALLOWED
    return page


def traded():
    desk, vault, sleeve, puppet = new_desk(QUIET, reserve="10%")
    carry(desk, puppet.buy("0.1", price="10000"))
    return desk, vault, sleeve


def test_a_core_vault_shows_its_figures_and_its_sleeves_exactly():
    desk, vault, sleeve = traded()
    page = shown(vault)

    assert page.figures("Total Coins") == [f"{vault.total.decimal:,f} USD"]
    assert page.figures("Tradeable Coins") == ["15,000 USD"]
    assert page.figures("reserve") == ["2,000 USD"]
    assert page.figures("remains to allocate") == [f"{vault.remaining.decimal:,f} USD"]
    assert page.row("a")[:3] == ["quiet", "active", "5,000 USD"]
    assert page.row("a")[3] == f"{sleeve.balance.decimal:,f} USD"
    assert page.row("a")[6] == f"{sleeve.fees.decimal:,f} USD" == "2.5 USD"
    assert "core:main:USD: active" in page.words[0]
    assert any("desk.inventory()" in words for words in page.words), "positions are at cost: it says where their value is"


def test_a_vault_without_sleeves_says_so():
    assert "No sleeve yet." in shown(CoreVault(USD, total="10")).words


def test_a_sleeve_and_an_engine_vault_show_positions_backing_and_what_holds_them():
    desk, vault, sleeve = traded()
    page = shown(sleeve)
    assert page.figures("deployed") == ["1,000 USD"]
    assert page.row("BTC/USD") == ["long", "0.1 BTC", "1,000 USD"]
    assert page.figures("set aside") == [], "what is nothing, and seldom more, is left out"

    vault.allocate(sleeve, "100")
    desk.latch(sleeve, Hold.STOPPED, by="ann", why=HOSTILE)
    engine = shown(desk.engines["a"])
    assert engine.figures("set aside") == ["100 USD"]
    assert f"puppet on sleeve a: {sleeve.status}" in engine.words[0]
    assert "backed by a slice of the wallet" in engine.words[0]
    assert f"a is held by stopped: {HOSTILE}" in engine.words


def test_a_sub_account_and_an_engine_that_cannot_trade_are_told():
    euros = CoreVault(EUR, total="100", tradeable="100")
    desk = Desk(euros)
    vault = desk.assign(Puppet(BTCUSD), to=euros.sleeve("e", FLASH, account=3), backing=SubAccount("main", 3))
    page = shown(vault)
    assert "backed by sub-account 3" in page.words[0]
    assert any("none of BTC/USD is quoted in EUR" in words for words in page.words)


def test_a_treasury_shows_all_its_vaults():
    books = Books()
    treasury = Treasury(CoreVault(USD, total="10", books=books), CoreVault(EUR, total="20", books=books))
    page = shown(treasury)
    assert page.figures("Total Coins") == ["10 USD", "20 EUR"]
    assert repr(treasury) == "Treasury(core:main:USD, core:main:EUR)"


def test_an_inventory_says_what_is_unknown_and_shows_values_to_the_unit():
    desk, vault, sleeve = traded()
    page = shown(desk.inventory())
    row = next(row for row in page.rows if row[3] == "0.1 BTC")
    assert (row[0], row[1], row[4]) == ("a", "puppet", "1,000 USD")

    blind = shown(desk.treasury.inventory({}, now=desk.books.now))
    coins = next(row for row in blind.rows if row[3] == "0.1 BTC")
    assert coins[4:] == ["unknown", "unknown"]
    assert any("no price" in words for words in blind.words)
    assert not any("unknown:" in words for words in page.words)


def test_an_inventory_does_not_round():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.00012345", price="10000.01"))
    row = next(row for row in shown(desk.inventory()).rows if row[3] == "0.00012345 BTC")
    assert row[4] == "1.234501 USD"  # 0.00012345 x 10,000.01, rounded down to the unit


@pytest.mark.parametrize("of", [lambda desk: Report(desk), lambda desk: RiskView.of(desk), lambda desk: desk.inventory()])
def test_names_are_text_wherever_they_stand(of):
    desk, vault, sleeve = traded()
    desk.mark(desk.books.now)
    desk.engines["a"].engine = HOSTILE
    desk._seats["a"].engine.name = HOSTILE
    thing = of(desk)
    if isinstance(thing, Report):
        thing.story.sleeves["a"].engine = HOSTILE
    page = shown(thing)
    assert "img" not in page.tags


def test_no_colour_and_no_script_is_brought_along():
    desk, vault, sleeve = traded()
    for thing in (vault, sleeve, desk.engines["a"], desk.treasury, desk.inventory(), RiskView.of(desk)):
        html = thing._repr_html_()
        assert not re.search(r"color|background|<script|<style|http", html)


def test_cells_are_exact_and_escaped():
    assert cell(USD("1234567.000001")) == "1,234,567.000001 USD"
    assert cell(None) == "unknown"
    page = Page(table(["<b>", "x"], [[HOSTILE, USD("-0.5")]], caption="<i>") + block("<u>", notes=["<s>"]))
    assert set(page.tags) <= ALLOWED
    assert page.rows == [["<b>", "x"], [HOSTILE, "-0.5 USD"]]


def test_a_copy_of_a_desk_tells_nobody_who_listens_to_the_desk():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    heard = []
    desk.books.listen(heard.append)
    again = copy.deepcopy(desk)
    again.treasury["USD"].set_tradeable("14000")
    assert heard == []
    assert again.books.listeners == []
    vault.set_tradeable("13000")
    assert heard, "the desk itself is heard as before"


def test_why_an_equity_is_what_it_is_stands_line_by_line():
    desk, vault, sleeve = traded()
    desk.mark(desk.books.now)
    page = shown(desk.explain(sleeve))
    assert page.row("allocated")[0] == "5,000 USD"
    assert page.row("equity at end")[0] == cell(sleeve.equity(desk.marks()))
    assert "The lines add up to the unit." in page.words


def test_the_laws_are_told_one_by_one():
    desk, vault, sleeve = traded()
    proof = desk.check()
    page = shown(proof)
    assert "The laws of the books hold" in page.words
    assert len(page.rows) == 1 + len(proof.findings)
    broken = shown(desk.check({"USD": USD("1")}))
    assert "A law of the books is BROKEN" in broken.words
    assert any(row[2].startswith("BROKEN: ") for row in broken.rows)
