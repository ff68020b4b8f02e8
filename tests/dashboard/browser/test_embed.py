"""The parts stand in other people's pages: with their own styles, twice, in the dark, and as one file without any server."""

from __future__ import annotations

import json
import re

from browsing import keep_picture
from houses import HOSTILE, Host, House, a_desk, a_market
from looking import picture, wait_live
from pages import parted

from sleeves.dashboard.bundle import save
from sleeves.sim import Tape, replay

GLARING = """
* { font: 40px/3 fantasy !important; color: #f0f !important; }
div, span, p, table, td, th, dl, dt, dd, button { border: 3px dotted lime; padding: 20px; text-transform: uppercase; letter-spacing: 9px; }
.panel, .badge, .bar { display: none; }
h3 { transform: rotate(90deg); }
"""


def foreign(*parts, head="", theme="", style=GLARING):
    body = "".join(parts)
    return (
        f'<!doctype html><html lang="en" {theme}><head><title>A shop</title><style>{style}</style>{head}'
        f'<script type="module" src="/bots/static/index.js"></script></head><body><h1>My shop</h1>{body}</body></html>'
    )


def test_one_part_in_a_foreign_page_keeps_its_own_looks(watched):
    card = '<engine-vault-card sleeve="flash"></engine-vault-card>'
    own = foreign(f'<sleeves-desk src="/bots/">{card}</sleeves-desk>', style="")
    glaring = foreign(f'<sleeves-desk src="/bots/">{card}</sleeves-desk>')
    with Host(a_desk(), a_market(pace=0.05), pages={"/own": own, "/glaring": glaring}) as house:
        watch = watched(hosts=(f"127.0.0.1:{house.port}",))
        boxes = []
        for path in ("/own", "/glaring"):
            page = watch.context.new_page()
            page.goto(f"http://127.0.0.1:{house.port}{path}")
            wait_live(page)
            page.locator("engine-vault-card h3").wait_for()
            boxes.append(
                page.locator("engine-vault-card h3").evaluate("h => [getComputedStyle(h).fontSize, getComputedStyle(h).textTransform]")
            )
            keep_picture(page, f"embedded{path.replace('/', '-')}")
        assert boxes[0][1] == boxes[1][1] == "none"


def test_two_desks_on_one_page_and_one_part_of_each(watched):
    page_of_two = foreign(
        '<sleeves-desk src="/bots/"><engine-vault-card sleeve="flash"></engine-vault-card></sleeves-desk>',
        '<sleeves-desk src="/other/"><engine-vault-card sleeve="quiet"></engine-vault-card></sleeves-desk>',
        style="",
    )
    with Host(a_desk(), a_market(pace=0.05), pages={"/two": page_of_two}, other=a_desk(total="30000")) as house:
        watch = watched(hosts=(f"127.0.0.1:{house.port}",))
        page = watch.context.new_page()
        page.goto(f"http://127.0.0.1:{house.port}/two")
        page.wait_for_function("() => everywhere('sleeves-desk').every(one => one.store?.state === 'live')")
        totals = page.evaluate("everywhere('sleeves-desk').map(one => one.store.row('vaults', 'core:main:USD').total)")
        assert float(totals[0]) < 25_000 < float(totals[1]) == 30_000, "each shows its own"
        assert page.locator("engine-vault-card").count() == 2
        page.locator("engine-vault-card[sleeve=flash]").get_by_text("flash").first.wait_for()
        page.locator("engine-vault-card[sleeve=quiet]").get_by_text("quiet").first.wait_for()


def test_a_dark_host_gets_dark_parts_and_a_light_one_light(watched):
    card = '<sleeves-desk src="/bots/"><engine-vault-card sleeve="flash"></engine-vault-card></sleeves-desk>'
    dark = foreign(card, style=":root { color-scheme: dark; } body { background: #111; color: #eee; }")
    light = foreign(card, style=":root { color-scheme: light; } body { background: #fff; color: #111; }")
    with Host(a_desk(), a_market(pace=0.05), pages={"/dark": dark, "/light": light}) as house:
        watch = watched(hosts=(f"127.0.0.1:{house.port}",), color_scheme="light")
        grounds = []
        for path in ("/dark", "/light"):
            page = watch.context.new_page()
            page.goto(f"http://127.0.0.1:{house.port}{path}")
            wait_live(page)
            panel = page.locator("engine-vault-card .panel").first
            panel.wait_for()
            grounds.append(panel.evaluate("one => getComputedStyle(one).backgroundColor"))
        light_of = [sum(map(float, re.findall(r"[\d.]+", one)[:3])) for one in grounds]
        assert light_of[0] < light_of[1], grounds


def test_the_file_opens_without_a_server_asks_for_nothing_and_holds_all(watched, tmp_path):
    path = tmp_path / "desk.html"
    with House(a_desk(hostile=True), a_market(rows=200, pace=0.0)) as house:
        assert house.over.wait(30)
        fresh = house.fresh()
        house.ask(save, house.desk, path)
    watch = watched(hosts=("file",))
    page = watch.context.new_page()
    page.goto(path.as_uri())
    wait_live(page, "still")
    page.locator("engine-vault-card[sleeve=quiet]").get_by_text(HOSTILE).first.wait_for()
    mine = picture(page)
    for unknown in ("real_money", "running"):  # the file was made of the desk alone: no venue was named, and no pulse handed in
        fresh["tables"]["desk"]["desk:main"][unknown] = None
    for name in ("tables", "streams"):
        assert parted(mine[name], fresh[name], name) == []
    assert watch.requests == [path.as_uri()], "one file, and nothing else"
    assert page.title() != "ran"
    assert page.get_by_role("button", name="Deposit").count() == 0
    keep_picture(page, "file")


def test_a_name_cannot_break_out_of_the_file(watched, tmp_path):
    path = tmp_path / "desk.html"
    name = "</script><script>document.title='ran'</script><!--"
    save(a_desk(name=name), path)
    page = watched(hosts=("file",)).context.new_page()
    page.goto(path.as_uri())
    page.locator("engine-vault-card").first.wait_for()
    assert page.title() != "ran"
    assert name in page.evaluate("JSON.stringify(document.querySelector('sleeves-desk').store.rows('sleeves'))").replace('\\"', '"')
    assert json.loads(json.dumps(picture(page)))["tables"]["sleeves"]["quiet"]["engine"] == name


def test_a_name_that_would_run_is_text_in_the_tear_sheet(watched, tmp_path):
    path = tmp_path / "sheet.html"
    desk = a_desk(hostile=True)
    replay(desk, Tape.sample().slice(0, 200), bounds=False, progress=False).save(path, title=HOSTILE)
    page = watched(hosts=("file",)).context.new_page()
    page.goto(path.as_uri())
    page.get_by_text(HOSTILE).first.wait_for()
    assert page.title() == HOSTILE
    assert page.evaluate("everywhere('[onerror], [onload], img[src=x]').length") == 0
