"""The page about keys shows the table of the code, and a line for each sign."""

from __future__ import annotations

import re
from pathlib import Path

from sleeves.keys import TRANSITIONS, Health, Sign

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "keep-your-keys.md"


def key_health_table() -> list[str]:
    rows = ["| from | new risk | exits | " + " | ".join(f"`{sign}`" for sign in Sign) + " |", "|---" * (3 + len(Sign)) + "|"]
    for health in Health:
        may = [("yes" if allowed else "no") for allowed in (health.may_open, health.may_exit)]
        leads = [f"`{TRANSITIONS[health, sign]}`" if (health, sign) in TRANSITIONS else "" for sign in Sign]
        rows.append(f"| `{health}` | {' | '.join([*may, *leads])} |")
    return rows


def test_the_table_of_health_is_that_of_the_code():
    _, mark, rest = PAGE.read_text(encoding="utf-8").partition("<!-- table key-health -->\n\n")
    drawn, end, _ = rest.partition("\n<!-- end of table -->")
    assert mark and end
    assert drawn == "\n".join(key_health_table()) + "\n"


def test_each_sign_has_its_line():
    page = PAGE.read_text(encoding="utf-8").partition("| sign | who gives it |")[2]
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE) == [sign.value for sign in Sign]
