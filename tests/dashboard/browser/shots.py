"""The pictures of the docs: `python tests/dashboard/browser/shots.py docs/images`. LOOK at each one before it is committed.

The desk is that of `sleeves dashboard`, played to the same hour each time and served by the real server to a real browser; the tear
sheet is the one that `sleeves demo` writes. Pictures are brought down to as few colours as keep them as they look.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from browsing import Watch, chromium, keep_picture
from houses import House, played
from looking import agree, sign_in

from sleeves import demo
from sleeves.dashboard.demo import TITLE, market

__all__ = ["main"]

ROWS = 1_190
"""Hours of the demo that are played: all four engines have something to show then."""
LARGEST = 150_000
"""Bytes of a picture, at most."""


def small(path: Path) -> None:
    """Bring a PNG down to 256 colours, those that keep every hue; fail where it is too large for the docs all the same."""
    from PIL import Image

    with Image.open(path) as picture:
        flat = picture.convert("RGB")
    flat.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stdout.write(f"{path.name}: {flat.width} x {flat.height}, {path.stat().st_size:,} bytes\n")
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path.name} has more than {LARGEST:,} bytes")


def page_of(browser: Any, house: House, scheme: str, width: int, height: int, scale: float = 1) -> Any:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        device_scale_factor=scale,
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page = sign_in(Watch(context), house)
    agree(page, house)
    page.wait_for_timeout(400)
    return page


def of_the_page(browser: Any, house: House, scheme: str) -> None:
    page = page_of(browser, house, scheme, 1280, 900)
    keep_picture(page, f"page-{scheme}", clip={"x": 0, "y": 0, "width": 1280, "height": 1500}, full_page=True)
    page.context.close()

    page = page_of(browser, house, scheme, 390, 844)
    keep_picture(page, f"phone-{scheme}")
    page.context.close()

    page = page_of(browser, house, scheme, 430, 900, 2)
    page.locator("engine-vault-card[sleeve=quiet]").screenshot(path=Path(os.environ["SLEEVES_SHOTS"]) / f"card-{scheme}.png")
    page.context.close()

    page = page_of(browser, house, scheme, 1280, 900)
    page.get_by_role("button", name="Deposit quiet", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("1500")
    dialog.get_by_role("button", name="Show the numbers").click()
    dialog.get_by_role("button", name="Yes, ").wait_for()
    page.wait_for_timeout(200)
    keep_picture(page, f"dialog-{scheme}")
    page.context.close()


def of_the_sheet(browser: Any, scheme: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        demo.run().save(path)
        context = browser.new_context(viewport={"width": 1100, "height": 1400}, color_scheme=scheme, locale="en-GB", timezone_id="UTC")
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_timeout(1_500)
        keep_picture(page, f"sheet-{scheme}")
        context.close()


CELLS = (
    """from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.engines import Trend
from sleeves.sim import Tape, replay

tape = Tape.sample()
vault = CoreVault(USD, total="20000", tradeable="15000")
desk = Desk(vault)
desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="10000"))
desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
vault""",
    'desk.widget(title="A first look")',
    "report = replay(desk, tape, bounds=False, progress=False)",
)


def of_the_notebook(browser: Any, scheme: str) -> None:
    """The widget in a real JupyterLab; not without one."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "notebooks_live"))
    try:
        import jupyterlab as _  # noqa: F401
        from rooms import jupyterlab, notebook
    except ImportError:
        sys.stdout.write("no JupyterLab here: no picture of the widget\n")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook(folder / "first-look.ipynb", *CELLS)
        with jupyterlab(folder) as lab:
            context = browser.new_context(viewport={"width": 1280, "height": 1240}, color_scheme=scheme, locale="en-GB", timezone_id="UTC")
            page = lab.open(context, "first-look.ipynb")
            lab.command(page, "application:toggle-left-area")
            if scheme == "dark":
                page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
            page.get_by_role("button", name="No", exact=True).click()  # no news of Jupyter
            page.wait_for_timeout(1_500)
            lab.command(page, "notebook:run-all-cells")
            page.locator("engine-vault-card").nth(1).wait_for(timeout=60_000)
            page.wait_for_timeout(6_000)  # the replay is through, and the chart has drawn its end
            page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer')?.scrollTo(0, 290)")
            page.wait_for_timeout(1_500)
            keep_picture(page, f"widget-{scheme}")
            context.close()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["SLEEVES_SHOTS"] = str(folder)
    one = market(rows=ROWS)
    with chromium() as browser:
        played(one.desk, one.venue)
        with House(one.desk, one.venue, run=False, title=TITLE, depth=one.depth) as house:
            for scheme in ("light", "dark"):
                of_the_page(browser, house, scheme)
        for scheme in ("light", "dark"):
            of_the_sheet(browser, scheme)
            of_the_notebook(browser, scheme)
    for path in sorted(folder.glob("*.png")):
        small(path)


if __name__ == "__main__":
    main()
