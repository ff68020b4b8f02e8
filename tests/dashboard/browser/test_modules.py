"""The page's own modules, linked into one and run in a browser: exact figures, what the store knows, a dialog that tells the truth.

The desk's end of the line is the test itself: it hands the store real messages of a real desk, and answers by hand.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import browsing
import pytest

from dashboard.stand import MARKUP, make_desk
from sleeves.dashboard.bundle import link, source
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import KEPT, POINTS, to_json

pytestmark = pytest.mark.slow

ENTRY = """
import { Store, requestId } from "./store.js";
import { amountFault, compare, figure, healthOf, minus, money, rate, sum } from "./format.js";
import "./index.js";

Object.assign(window, { Store, requestId, amountFault, compare, figure, healthOf, minus, money, rate, sum, sent: [] });
"""
HTML = '<!doctype html><html lang="en"><title>parts</title><script type="module" src="/parts.js"></script><body></body></html>'
LIVE = """(snapshot) => {
  window.sent.length = 0;
  window.store = new Store();
  store.transport = { send: (message) => { sent.push(message); return true; } };
  store.apply(snapshot);
  store.become("live");
  document.body.replaceChildren();
}"""


def entry(name: str) -> str:
    return ENTRY if name == "test.js" else source(name)


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    with browsing.elsewhere({"/": HTML, "/parts.js": link("test.js", entry)}) as port:
        yield port


@pytest.fixture
def parts(site: int, watched: Callable[..., browsing.Watch]) -> Any:
    watch = watched(hosts=(f"127.0.0.1:{site}",))
    page = watch.context.new_page()
    page.goto(f"http://127.0.0.1:{site}/")
    page.wait_for_function("window.Store !== undefined")
    return page


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """A snapshot of a desk that runs, the deltas that follow it, and a fresh snapshot at their end."""
    stand = make_desk(engines=3, contracts=True, hostile=True)
    stand.play(30)
    feed = Feed(stand.desk, title=MARKUP, commands=True)
    first = json.loads(to_json(feed.snapshot()))
    deltas = []
    for _ in range(80):
        stand.play(2)
        delta = feed.refresh()
        if delta is not None:
            deltas.append(json.loads(to_json(delta)))
    last = json.loads(to_json(feed.snapshot()))
    feed.close()
    assert len(deltas) > 40
    return first, deltas, last


# -- figures ---------------------------------------------------------------------------------------------------------------------


def texts(seed: int, count: int = 400) -> list[str]:
    drawn = random.Random(seed)
    found = [
        "0",
        "-0",
        "0.00",
        "1",
        "-1",
        "0.5",
        "-0.5",
        "0.005",
        "999.995",
        "9" * 40,
        "-" + "9" * 40 + "." + "9" * 30,
        "0." + "0" * 29 + "1",
    ]
    while len(found) < count:
        whole = str(drawn.randrange(10 ** drawn.randrange(1, 22)))
        part = "".join(drawn.choice("0123456789") for _ in range(drawn.randrange(0, 19)))
        found.append(drawn.choice(("", "-")) + whole + (f".{part}" if part else ""))
    return found


def test_sums_differences_and_order_are_exact(parts):
    left, right = texts(1), texts(2)
    got = parts.evaluate("([a, b]) => a.map((x, at) => [sum(x, b[at]), minus(x, b[at]), compare(x, b[at])])", [left, right])
    with localcontext(prec=200):
        for x, y, (total, rest, order) in zip(left, right, got, strict=True):
            a, b = Decimal(x), Decimal(y)
            assert (Decimal(total), Decimal(rest), order) == (a + b, a - b, (a > b) - (a < b)), (x, y)
    assert parts.evaluate("[sum('1', null), minus(null, '1'), sum('1', 'NaN'), sum('1e3', '1'), sum()]") == [None, None, None, None, "0"]


def test_a_figure_is_read_back_as_what_it_was(parts):
    given = texts(3)
    places = [at % 9 for at in range(len(given))]
    got = parts.evaluate(
        "([a, p]) => a.map((x, at) => [figure(x), figure(x, { places: p[at] }), figure(x, { sign: true })])", [given, places]
    )
    with localcontext(prec=200):
        for text, most, (whole, short, signed) in zip(given, places, got, strict=True):
            value = Decimal(text)
            assert Decimal(plain(whole)) == value
            wanted = value.quantize(Decimal(1).scaleb(-most), ROUND_HALF_UP) if -value.as_tuple().exponent > most else value
            assert Decimal(plain(short)) == wanted, (text, most)
            assert signed[0] == {1: "+", -1: "\u2212"}.get((value > 0) - (value < 0), signed[0])
    assert parts.evaluate("['1234567.5', '-0.004', '1e3', null].map((x) => figure(x))") == [
        "1,234,567.5",
        "\u22120.004",
        "\u2014",
        "\u2014",
    ]


def plain(shown: str) -> str:
    return shown.replace(",", "").replace("\u2212", "-")


def test_an_amount_is_taken_as_it_is_typed_or_not_at_all(parts):
    good = ["1", "0.5", "250.50", "00012", "1" * 40, "0." + "0" * 29 + "1"]
    bad = ["", " ", "x", "1e3", "1,000", "-1", "+1", ".5", "1.", "0", "0.00", "1 000", "0x10", "\u0661", "NaN", "1" * 41, "\uff11", "1_0"]
    assert parts.evaluate("(all) => all.map((text) => amountFault(text))", good) == [None] * len(good)
    assert None not in parts.evaluate("(all) => all.map((text) => amountFault(text))", bad)
    most = "amountFault('100.01', { most: '100' })"
    assert "100 is available" in parts.evaluate(most)
    assert parts.evaluate("[amountFault('100', { most: '100.00' }), amountFault('0', { zero: true })]") == [None, None]


def test_health_has_one_scale_with_the_desks_own_levels(parts):
    given = ["100", "80", "79.99", "50", "49.99", "20", "19.99", "0", None, "NaN", ""]
    words = parts.evaluate("(all) => all.map((one) => healthOf(one).word)", given)
    assert words == ["good", "good", "fair", "fair", "poor", "poor", "critical", "critical", "unknown", "unknown", "unknown"]


# -- the store -------------------------------------------------------------------------------------------------------------------


def test_a_snapshot_and_all_deltas_are_a_fresh_snapshot(parts, told):
    first, deltas, last = told
    parts.evaluate(LIVE, first)
    results = parts.evaluate("(deltas) => deltas.map((delta) => store.receive(delta))", deltas)
    assert set(results) == {"ok"}
    held = parts.evaluate("store.picture()")
    held["at_ms"] = last["at_ms"]
    assert held == last
    assert parts.evaluate("sent") == []


def test_no_delta_is_applied_twice_and_none_is_left_out(parts, told):
    first, deltas, last = told
    parts.evaluate(LIVE, first)
    got = parts.evaluate("(d) => [d[0], d[0], d[1], d[0], d[1], d[3], d[4]].map((delta) => store.receive(delta))", deltas)
    assert got == ["ok", "old", "ok", "old", "old", "gap", "gap"]
    assert parts.evaluate("sent") == [{"type": "resync"}]  # asked once, not for each that cannot be applied
    before = parts.evaluate("store.picture()")
    assert before["seq"] == deltas[1]["seq"]
    other = {**deltas[2], "session": "another"}
    assert parts.evaluate("(delta) => store.apply(delta)", other) == "gap"
    assert parts.evaluate("store.picture()") == before
    assert parts.evaluate("(last) => [store.receive(last), store.picture().seq]", last) == ["ok", last["seq"]]


def test_streams_and_charts_stay_bounded_as_the_server_bounds_them(parts, told):
    first, _, _ = told
    parts.evaluate(LIVE, first)
    name = next(iter(first["charts"]))
    kept = parts.evaluate(
        """([name, most]) => {
          const { session } = store; let { seq } = store; const width = store.charts.get(name).fields.length;
          const begin = store.charts.get(name).points.length;
          for (let n = begin; n <= most; n += 1)
            store.apply({ type: "delta", session, seq: ++seq, at_ms: n, add: { alerts: [{ n }] },
              points: { [name]: [Array(width).fill(n)] } });
          return [store.charts.get(name).points.map((point) => point[0]), store.stream("alerts").map((item) => item.n)];
        }""",
        [name, POINTS],
    )
    points, alerts = kept
    assert len(points) == (POINTS + 1 + 1) // 2 and points[-1] == POINTS and points[-2] == POINTS - 2
    assert len(alerts) == KEPT and alerts[-1] == POINTS


def test_a_series_that_is_new_has_its_fields(parts, told):
    first, _, _ = told
    parts.evaluate(LIVE, first)
    point = [1, 2, 3, 4, 5, 6, 7]
    delta = {"type": "delta", "session": first["session"], "seq": first["seq"] + 1, "at_ms": 1, "points": {"sleeve:new": [point]}}
    assert parts.evaluate("(delta) => store.apply(delta)", delta) == "ok"
    known = next(series["fields"] for name, series in first["charts"].items() if name.startswith("sleeve:"))
    assert parts.evaluate("store.charts.get('sleeve:new')") == {"fields": known, "points": [point]}


def test_names_of_javascript_are_only_names(parts, told):
    first, _, _ = told
    row = next(iter(first["tables"]["sleeves"].values()))
    text = json.dumps({**first, "tables": {**first["tables"], "sleeves": {"__proto__": row, "constructor": row, "toString": row}}})
    parts.evaluate(LIVE, first)
    names = parts.evaluate("(text) => { store.apply(JSON.parse(text)); return [...store.table('sleeves').keys()]; }", text)
    assert sorted(names) == ["__proto__", "constructor", "toString"]
    assert parts.evaluate("store.row('sleeves', 'valueOf')") is None
    assert parts.evaluate("({}).vault") is None


def test_what_was_asked_when_the_line_fell_is_not_known_and_is_asked_for_and_not_sent_again(parts, told):
    parts.evaluate(LIVE, told[0])
    words = parts.evaluate(
        """async () => {
          const words = [];
          store.do({ what: "pause", target: "desk:main", id: "one" }, null, (word) => words.push(word.type));
          const preview = store.preview({ what: "pause", target: "desk:main", id: "two" });
          store.become("lost");
          words.push((await preview).type, store.errands.at(-1).state);
          words.push((await store.do({ what: "resume", target: "desk:main", id: "three" }, null)).code);
          store.become("connecting");
          store.become("live");
          words.push(sent.map((message) => message.type).join(" "), sent.at(-1).id);
          store.receive({ type: "answer", id: "one", code: "done", ok: true, open: false, message: "paused", evidence: {} });
          words.push(store.errands.find((one) => one.id === "one").state);
          return words;
        }"""
    )
    assert words == ["lost", "lost", "unknown", "offline", "do preview ask", "one", "answer", "done"]


# -- the dialog ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def card(parts, told):
    first, _, _ = told
    name = next(name for name, row in first["tables"]["sleeves"].items() if row["status"] == "active")
    parts.evaluate(LIVE, first)
    parts.evaluate(
        """(name) => { const card = document.createElement("engine-vault-card"); card.setAttribute("sleeve", name); card.store = store;
        document.body.append(card); }""",
        name,
    )
    parts.get_by_role("button", name=f"Deposit {name}").wait_for()
    return name


def last(parts: Any, kind: str) -> dict[str, Any]:
    parts.wait_for_function("(kind) => sent.some((one) => one.type === kind)", arg=kind)
    found: dict[str, Any] = parts.evaluate("(kind) => sent.findLast((one) => one.type === kind)", kind)
    return found


def kinds(parts: Any) -> list[str]:
    found: list[str] = parts.evaluate("sent.map((one) => one.type)")
    return found


def preview(request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain = {
        "type": "preview",
        "id": request["instruction"]["id"],
        "ok": True,
        "code": "ready",
        "message": "goes",
        "numbers": {"moves": "10 USD"},
    }
    more = {"before": {"idle": "100 USD"}, "after": {"idle": "90 USD"}, "warnings": [], "ticket": "t-1", "expires_ms": None}
    return {**plain, **more, **changes}


def tell(parts: Any, message: dict[str, Any]) -> None:
    parts.evaluate("(message) => store.receive(message)", message)


def ask(parts: Any, card: str, amount: str = "10") -> dict[str, Any]:
    parts.get_by_role("button", name=f"Deposit {card}").click()
    parts.get_by_label("Amount").fill(amount)
    parts.get_by_role("button", name="Show the numbers").click()
    return last(parts, "preview")


def test_what_is_sent_is_what_the_numbers_were_shown_for(parts, card):
    request = ask(parts, card)
    assert request["instruction"] == {"what": "allocate", "sleeve": card, "amount": "10", "id": request["instruction"]["id"]}
    assert parts.get_by_role("button", name="Yes, deposit").count() == 0  # not before the numbers are there
    tell(parts, preview(request, warnings=["the price is old"]))
    dialog = parts.get_by_role("dialog")
    assert "100 USD" in dialog.inner_text() and "90 USD" in dialog.inner_text() and "the price is old" in dialog.inner_text()
    assert kinds(parts) == ["preview"]
    parts.get_by_role("button", name="Yes, deposit").click()
    done = last(parts, "do")
    assert done["instruction"] == request["instruction"] and done["ticket"] == "t-1"
    assert "Sent" in dialog.inner_text() and "Done" not in dialog.inner_text()
    answer = {
        "type": "answer",
        "id": done["instruction"]["id"],
        "code": "under_way",
        "ok": True,
        "open": True,
        "message": "on its way",
        "evidence": {},
    }
    tell(parts, answer)
    assert "Under way" in dialog.inner_text() and "Done" not in dialog.inner_text()
    tell(parts, {**answer, "code": "done", "open": False, "message": "landed", "evidence": {"idle": "90 USD"}})
    assert "Done" in dialog.inner_text() and "landed" in dialog.inner_text()


def test_a_double_click_on_the_question_is_no_yes_to_the_numbers(parts, card):
    parts.evaluate(
        """() => {
          const told = { ok: true, code: "ready", message: "", ticket: "t", expires_ms: null };
          const numbers = { ...told, numbers: {}, before: {}, after: {}, warnings: [] };
          store.transport.send = (message) => {
            sent.push(message);
            if (message.type === "preview")
              queueMicrotask(() => store.receive({ type: "preview", id: message.instruction.id, ...numbers }));
            return true;
          };
        }"""
    )
    parts.get_by_role("button", name=f"Deposit {card}").click()
    parts.get_by_label("Amount").fill("10")
    parts.get_by_role("button", name="Show the numbers").dblclick()
    parts.get_by_role("button", name="Yes, deposit").wait_for()
    assert kinds(parts) == ["preview"]
    parts.keyboard.press("Escape")
    parts.get_by_role("button", name=f"Deposit {card}").click()
    parts.get_by_label("Amount").fill("10")
    parts.keyboard.down("Enter")
    for _ in range(5):
        parts.keyboard.down("Enter")  # held: the browser repeats it
    parts.keyboard.up("Enter")
    parts.get_by_role("button", name="Yes, deposit").wait_for()
    assert "do" not in kinds(parts)
    parts.keyboard.press("Enter")
    assert last(parts, "do")["ticket"] == "t"


def test_numbers_of_something_else_are_thrown_away(parts, card):
    first = ask(parts, card, "10")
    parts.get_by_label("Amount").fill("20")
    tell(parts, preview(first))
    assert parts.get_by_role("button", name="Yes, deposit").count() == 0
    parts.get_by_role("button", name="Show the numbers").click()
    second = last(parts, "preview")
    assert second["instruction"]["amount"] == "20" and second["instruction"]["id"] != first["instruction"]["id"]
    tell(parts, preview(second))
    parts.get_by_label("Amount").fill("30")
    assert parts.get_by_role("button", name="Yes, deposit").count() == 0
    assert "do" not in kinds(parts)


def test_what_would_be_refused_cannot_be_sent(parts, card):
    request = ask(parts, card)
    tell(parts, preview(request, ok=False, code="not_enough", message="only 5 USD is idle", ticket=None))
    assert "Refused" in parts.get_by_role("dialog").inner_text() and "only 5 USD is idle" in parts.get_by_role("dialog").inner_text()
    assert parts.get_by_role("button", name="Yes, deposit").count() == 0
    tell(parts, {"type": "refused", "id": None, "code": "too_fast", "message": "more than 20"})
    assert kinds(parts) == ["preview"]


def test_a_refusal_of_what_was_sent_is_said_and_can_be_tried_again(parts, card):
    request = ask(parts, card)
    tell(parts, preview(request))
    parts.get_by_role("button", name="Yes, deposit").click()
    done = last(parts, "do")
    tell(parts, {"type": "refused", "id": done["instruction"]["id"], "code": "ticket_expired", "message": "the ticket is old"})
    assert "Refused" in parts.get_by_role("dialog").inner_text() and "the ticket is old" in parts.get_by_role("dialog").inner_text()
    parts.get_by_role("button", name="Try again").click()
    parts.get_by_role("button", name="Show the numbers").click()
    parts.wait_for_function("sent.filter((one) => one.type === 'preview').length === 2")
    assert last(parts, "preview")["instruction"]["id"] != request["instruction"]["id"]
    assert kinds(parts).count("do") == 1


def test_a_line_that_falls_is_not_called_done_or_refused(parts, card):
    request = ask(parts, card)
    tell(parts, preview(request))
    parts.get_by_role("button", name="Yes, deposit").click()
    done = last(parts, "do")
    parts.evaluate("store.become('lost')")
    dialog = parts.get_by_role("dialog")
    assert "Not known" in dialog.inner_text()
    parts.evaluate("store.become('live')")
    assert last(parts, "ask") == {"type": "ask", "id": done["instruction"]["id"]}
    tell(parts, {"type": "refused", "id": done["instruction"]["id"], "code": "bad_instruction", "message": "no instruction of this id"})
    assert "Not known" in dialog.inner_text() and "Done" not in dialog.inner_text() and "Refused" not in dialog.inner_text()
    assert kinds(parts).count("do") == 1


def test_without_a_line_nothing_can_be_sent_and_that_is_said(parts, card):
    request = ask(parts, card)
    tell(parts, preview(request))
    parts.evaluate("store.become('lost')")
    assert parts.get_by_role("button", name="Yes, deposit").is_disabled()
    assert "no connection" in parts.get_by_role("dialog").inner_text()
    parts.evaluate("store.become('live')")
    assert parts.get_by_role("button", name="Yes, deposit").is_enabled()


def test_a_kill_never_waits_for_its_numbers(parts, card):
    parts.get_by_role("button", name=f"Kill {card}").click()
    request = last(parts, "preview")
    assert request["instruction"]["flatten"] == "no"
    parts.get_by_label("Halt and flatten").check()
    parts.get_by_role("button", name=f"Yes, kill {card}").click()  # no preview was answered
    done = last(parts, "do")
    assert done["ticket"] is None
    assert done["instruction"] == {"what": "kill", "target": card, "flatten": "yes", "id": done["instruction"]["id"]}


def test_focus_goes_in_and_comes_back_and_escape_moves_nothing(parts, card):
    button = parts.get_by_role("button", name=f"Withdraw {card}")
    button.focus()
    parts.keyboard.press("Enter")
    assert parts.get_by_label("Amount").evaluate("(node) => node.getRootNode().activeElement === node")
    parts.keyboard.press("Escape")
    assert parts.get_by_role("dialog").count() == 0
    assert button.evaluate("(node) => node.getRootNode().activeElement === node")
    assert kinds(parts) == []


# -- telling ---------------------------------------------------------------------------------------------------------------------


def test_a_flood_of_alerts_is_told_as_one_and_critical_ones_at_once(parts, told):
    first, _, _ = told
    parts.evaluate(LIVE, {**first, "streams": {"alerts": [], "log": []}})
    parts.evaluate("() => { const list = document.createElement('alert-list'); list.store = store; document.body.append(list); }")
    parts.wait_for_function("document.querySelector('alert-list').shadowRoot.querySelector('h2') !== null")
    parts.evaluate(
        """(markup) => { const { session } = store; let { seq } = store;
        for (let n = 1; n <= 300; n += 1) store.apply({ type: "delta", session, seq: ++seq, at_ms: n, add: { alerts: [
          { n, at_ms: n, level: n === 150 ? "critical" : "warning", subject: "desk:main", code: "c", text: `${markup} ${n}` }] } }); }""",
        MARKUP,
    )
    parts.wait_for_function("document.querySelector('alert-list').shadowRoot.querySelectorAll('li').length === 100")
    root = "document.querySelector('alert-list').shadowRoot"
    assert parts.evaluate(f"{root}.querySelector('[role=alert]').textContent") == f"critical, desk:main: {MARKUP} 150 And 299 more."
    assert parts.evaluate(f"{root}.querySelector('[role=status]').textContent") == ""
    assert parts.evaluate(f"{root}.querySelector('.count').textContent") == "300 not looked at, 1 critical."
    assert parts.evaluate(f"{root}.querySelector('li .text').textContent") == f"{MARKUP} 300"
    assert parts.evaluate(f"{root}.querySelector('img')") is None
