"""How a test reads a page of a desk: what its store holds, what its cards say, to the last digit."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from browsing import Watch
from houses import House
from pages import parted

__all__ = ["STORE", "agree", "amounts", "picture", "say_yes", "sign_in", "wait_live"]

STORE = "document.querySelector('sleeves-desk').store"


def wait_live(page: Any, state: str = "live") -> None:
    page.wait_for_function("state => document.querySelector('sleeves-desk')?.store?.state === state", arg=state, timeout=20_000)


def sign_in(watch: Watch, house: House, *, port: int | None = None) -> Any:
    """A page of the desk, signed in by the address that its owner is shown, and connected; through another port where given."""
    assert house.served is not None
    login = house.served.login if port is None else house.served.login.replace(f":{house.port}/", f":{port}/")
    watch.hosts.add(f"127.0.0.1:{port or house.port}")
    page = watch.context.new_page()
    page.goto(login)
    wait_live(page)
    return page


def picture(page: Any) -> dict[str, Any]:
    """All that the page's store holds."""
    found: dict[str, Any] = page.evaluate(f"{STORE}.picture()")
    return found


def agree(page: Any, house: House, *, within: float = 15.0) -> dict[str, Any]:
    """Wait until the page is where the server is, and hold all of it against all that the server would tell a new page."""
    deadline = time.monotonic() + within
    while True:
        mine, fresh = picture(page), house.fresh()
        if (mine["session"], mine["seq"]) == (fresh["session"], fresh["seq"]):
            assert parted(mine, fresh) == []
            return fresh
        assert time.monotonic() < deadline, f"the page is at {mine['seq']}, the server at {fresh['seq']}"
        page.wait_for_timeout(50)


def amounts(card: Any) -> dict[str, Decimal | None]:
    """The figures of a card by what it calls them, exact: what stands in their titles."""
    found = card.evaluate(
        """card => Object.fromEntries([...card.shadowRoot.querySelectorAll("dl > div")].map(pair =>
            [pair.querySelector("dt").textContent, pair.querySelector("dd [title]")?.title ?? pair.querySelector("dd").textContent]))"""
    )
    return {term: exact(text) for term, text in found.items()}


def exact(text: str) -> Decimal | None:
    """ "1,234.5 USD" as a number; None for what is unknown."""
    if text == "unknown":
        return None
    return Decimal(text.split(" ")[0].replace(",", "").replace("\u2212", "-").replace("+", ""))


def say_yes(page: Any, button: str, *, amount: str | None = None) -> Any:
    """Press a button, enter an amount, look at the numbers and say yes; the dialog, which then says what became of it."""
    page.get_by_role("button", name=button, exact=True).click()
    dialog = page.get_by_role("dialog")
    if amount is not None:
        dialog.get_by_label("Amount").fill(amount)
        dialog.get_by_role("button", name="Show the numbers").click()
    dialog.get_by_role("button", name="Yes, ").click()
    return dialog
