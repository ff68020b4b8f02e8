"""What the page's app answers: its files, its data, instructions over HTTP, and its socket.

Everything is read on the desk's own loop. All addresses are relative, so that it stands wherever it is mounted.
"""

from __future__ import annotations

import gzip
import html
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, quote
from weakref import WeakSet

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..codec import encode
from ..control import Control
from ..desk import Desk
from ..errors import JournalError, VaultError
from ..explain import Waterfall, explain
from ..journal import Memory
from ..keys import Secret
from ..pulse import Pulse
from ..records import Record
from . import openapi, schema
from .clerk import Clerk
from .door import Door, asked_of, refusal, turn_away
from .feed import Feed
from .guard import VISITOR, Guard, Rates, Visitor, new_token
from .messages import LARGEST, Answer, BadMessage, Do, Preview, Refused, from_json, plain, to_json
from .socket import Line, Rounds

if TYPE_CHECKING:
    from .app import Authorize

__all__ = ["build"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

MILLISECOND = 1_000_000
"""In nanoseconds."""
MOST_RECORDS = 1_000
"""The most records of the journal in one answer."""
MOST_WAIT = 60.0
"""How long an answer about an instruction may be waited for, in seconds."""
READS_PER_SECOND, READ_BURST = 20.0, 60.0
"""Requests for data by one session in a second, and at once after a rest."""
WIDE = 200
"""Records in one answer beyond which it counts as a wide one."""
WIDE_PER_SECOND, WIDE_BURST = 4.0, 20.0
"""The same of those."""
FOLDS_PER_SECOND, FOLD_BURST = 0.5, 5.0
"""The same of what reads the whole journal."""
RUNS_ELSEWHERE = 1.0
"""How often it is looked whether a feed that somebody else keeps running has to be kept running here, in seconds."""
ASK_AGAIN = 60.0
"""How often a host app's own sign-in is asked whether an open socket's visitor is still let in, in seconds."""
SLICE = 1_000
"""Records of a journal that are read at once, before the desk has its turn again."""

STATUS = {
    "read_only": 403,
    "bad_message": 400,
    "bad_instruction": 422,
    "too_fast": 429,
    "needs_ticket": 428,
    "ticket_expired": 410,
    "ticket_mismatch": 409,
    "too_large": 413,
}
"""What a refused message is over HTTP."""
KINDS = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "md": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
"""The kinds of files that the page has; no other is served."""

ONWARDS = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=./">
<title>sleeves</title><link rel="icon" href="data:,">
<p><a href="./">Signed in: go on to the page</a></p></html>
"""
"""What an address with the token in it is answered."""


def build(
    desk: Desk,
    *,
    control: Control | None,
    pulse: Pulse | None,
    token: str | Secret | None,
    hosts: Iterable[str] | None,
    origins: Iterable[str],
    frames: Iterable[str],
    title: str,
    feed: Feed | None,
    depth: Callable[[Any], Any] | None,
    authorize: Authorize | None,
    by: str,
) -> Starlette:
    """What `app` says."""
    if not isinstance(title, str) or not title.isprintable():
        raise VaultError(f"title {ascii(title)[:80]} must be a text that can be shown, on one line")
    if authorize is not None and not callable(authorize):
        raise VaultError(f"authorize {authorize!r} must be a function that names who a connection is")
    clerk = Clerk(desk, control)
    if token is None and authorize is None:
        token = new_token()
    guard = Guard(token, hosts=hosts, origins=origins, by=by)
    del token
    if feed is None:
        venues = () if control is None else control.venues.values()
        feed = Feed(desk, pulse=pulse, title=title, venues=venues, depth=depth, commands=control is not None)
    elif feed.desk is not desk:
        raise VaultError("feed is a Feed of this desk")
    elif feed in _TAKEN:
        raise VaultError("this feed tells the pages of another app: hand each app a feed of its own")
    elif depth is not None:
        raise VaultError("depth is handed to the feed, where a feed is handed in")
    feed.commands = control is not None
    _TAKEN.add(feed)
    house = House(desk, guard, feed, clerk, pulse, title, authorize)
    door = Middleware(Door, guard=guard, authorize=authorize, frames=_frames(frames))
    made = Starlette(routes=house.routes(), middleware=[door], lifespan=house.lifespan)
    made.state.token, made.state.feed, made.state.guard, made.state.clerk = guard.token, feed, guard, clerk
    return made


_TAKEN: WeakSet[Feed] = WeakSet()
"""Feeds that an app has: what they tell of commands is of one app."""


def _frames(frames: Iterable[str]) -> list[str]:
    """Origins whose pages may show this one in a frame; checked, since they go into a header."""
    listed = Guard(None, origins=frames).origins
    return [f"{scheme}://{name}:{port}" for scheme, name, port in listed]


class House:
    """What all routes share."""

    def __init__(
        self, desk: Desk, guard: Guard, feed: Feed, clerk: Clerk, pulse: Pulse | None, title: str, authorize: Authorize | None
    ) -> None:
        self.authorize = authorize
        self.desk, self.guard, self.feed, self.clerk, self.title = desk, guard, feed, clerk, title
        self.pulse = Pulse(most_silence=None) if pulse is None else pulse
        self._reads = Rates(READS_PER_SECOND, READ_BURST)
        self._wide = Rates(WIDE_PER_SECOND, WIDE_BURST)
        self._folds = Rates(FOLDS_PER_SECOND, FOLD_BURST)
        self._files: Files | None = None
        self._turn: anyio.Lock | None = None
        """Whose turn it is to keep the feed running: the lifespan's, or where there is none, that of one socket after the other."""
        self._folding = False
        self._rounds = Rounds()

    def routes(self) -> list[Route | WebSocketRoute]:
        """Every address and what answers it."""
        return [
            Route("/", self.page),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/login.css", self.login_style),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/static/{path:path}", self.static),
            Route("/api/snapshot", self.snapshot),
            Route("/api/markets", self.markets),
            Route("/api/health", self.health),
            Route("/api/explain/{sleeve}", self.explain),
            Route("/api/journal", self.journal),
            Route("/api/preview", self.preview, methods=["POST"]),
            Route("/api/instructions", self.instruct, methods=["POST"]),
            Route("/api/instructions/{id}", self.instructed),
            Route("/api/schema", self.schema),
            Route("/api/openapi.json", self.openapi),
            WebSocketRoute("/socket", self.socket),
        ]

    # -- the feed ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the feed running for as long as this is its turn."""
        if self._turn is None:
            self._turn = anyio.Lock()
        async with self._turn:
            while not self.feed.closed:
                with suppress(VaultError):  # who handed the feed in runs it
                    async with self.feed.running():
                        await anyio.sleep_forever()
                await anyio.sleep(RUNS_ELSEWHERE)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            yield
            tasks.cancel_scope.cancel()

    async def socket(self, socket: WebSocket) -> None:
        """The page's line, see `socket`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            who = cast(Visitor, socket.scope[VISITOR])
            await Line(socket, self.feed, self.clerk, who, self._welcome(socket, who), self._rounds).run()
            tasks.cancel_scope.cancel()

    def _welcome(self, socket: WebSocket, who: Visitor) -> Callable[[], Awaitable[bool]]:
        """What says whether a visitor still is: a host app's own sign-in is asked again now and then."""
        asked = [anyio.current_time()]

        async def welcome() -> bool:
            if self.authorize is None or not who.of_host:
                return self.guard.signed_in(who)
            if anyio.current_time() - asked[0] < ASK_AGAIN:
                return True
            asked[0] = anyio.current_time()
            return bool(await asked_of(self.authorize, socket) == who.name)

        return welcome

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def files(self) -> Files:
        if self._files is None:
            self._files = Files()
        return self._files

    async def page(self, request: Request) -> Response:
        """The page itself."""
        if not _path_of(request):  # without the slash, what the page asks for would be beside it
            return RedirectResponse(str(request.scope.get("root_path", "")).rstrip("/") + "/", 307)
        return Response(self.files.page("index.html", self.title), media_type="text/html")

    async def static(self, request: Request) -> Response:
        """A file of the page: of this very build for good, or of whatever build with a tag."""
        return self.files.answer(request.path_params["path"], request.headers)

    async def login(self, request: Request) -> Response:
        """The form for the token, and what it leads to. An address with the token in it leads away from itself.

        That by a page, not by a redirect: one that began on another site, as in a mail or a notebook, would not bring the cookie.
        """
        if self.guard.token is None:
            return refusal(404, "no_sign_in", "this page has no sign-in of its own")
        given: str | None
        if request.method == "POST":
            body = await _body(request, 4_096)
            given = None if body is None else _field(body, "token")
            given = given or ""
        else:
            given = request.query_params.get("token")
        if given is None:
            if self.guard.who(cookie=request.cookies.get(self.guard.cookie)) is not None:
                return RedirectResponse("./", 303)
            return Response(self.files.page("login.html", self.title), media_type="text/html")
        if not self.guard.opens(given.strip()):
            refused = await turn_away(self.guard)
            text = self.files.page("login.html", self.title).replace('id="wrong" hidden', 'id="wrong"')
            return Response(text, refused.status_code, media_type="text/html")
        answer: Response = RedirectResponse("./", 303)
        if request.method != "POST":
            answer = Response(ONWARDS, headers={"Referrer-Policy": "no-referrer"}, media_type="text/html")
        answer.set_cookie(
            self.guard.cookie,
            self.guard.sign_in(),
            path=_cookie_path(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def login_style(self, _: Request) -> Response:
        return self.files.answer("login.css", {})

    async def logout(self, request: Request) -> Response:
        """End the sign-in that this came with."""
        self.guard.sign_out(request.cookies.get(self.guard.cookie))
        answer = RedirectResponse("login" if self.guard.token is not None else "./", 303)
        answer.delete_cookie(self.guard.cookie, path=_cookie_path(request))
        return answer

    # -- data ----------------------------------------------------------------------------------------------------------

    def _slow(self, request: Request, rates: Rates | None = None) -> Response | None:
        """A no, where a session asks for more than it should."""
        if (self._reads if rates is None else rates).take(_who(request).session):
            return None
        return refusal(429, "too_fast", "too many requests in a second", {"Retry-After": "2"})

    async def snapshot(self, request: Request) -> Response:
        """The whole picture, as the socket tells it."""
        slow = self._slow(request)
        if slow is not None:
            return slow
        await self.feed.ready()
        await self._rounds.turn()
        return Response(self.feed.written(), media_type="application/json")

    async def markets(self, request: Request) -> Response:
        """Instruments with their prices and what is known of their funding."""
        slow = self._slow(request)
        if slow is not None:
            return slow
        await self.feed.ready()
        tables = self.feed.snapshot().tables
        funding = {key: plain(row) for key, row in tables["funding"].items()}
        rows = [{"symbol": key, **plain(row), "funding": funding.get(key)} for key, row in tables["markets"].items()]
        rates = {key: float(row["apr"]) for key, row in funding.items()}
        stats = {
            "markets": len(rows),
            "priced": sum(row["mark"] is not None for row in rows),
            "with_funding": len(funding),
            "open_interest_known": sum(row["open_interest"] is not None for row in funding.values()),
            "highest_apr": max(rates, key=lambda key: rates[key]) if rates else None,
            "lowest_apr": min(rates, key=lambda key: rates[key]) if rates else None,
        }
        return _json({"at_ms": self.desk.books.now // MILLISECOND, "markets": rows, "stats": stats})

    async def health(self, request: Request) -> Response:
        """How the desk and its run stand, as `Pulse.snapshot` has it."""
        slow = self._slow(request)
        if slow is not None:
            return slow
        body = plain(self.pulse.snapshot(self.desk))
        body["at_ms"] = body.pop("at") // MILLISECOND
        return _json(body)

    async def explain(self, request: Request) -> Response:
        """Why a sleeve's equity went from what it was to what it is, by cause."""
        name = request.path_params["sleeve"]
        sleeves = {name: sleeve for vault in self.desk.treasury.vaults for name, sleeve in vault.sleeves.items()}
        if name not in sleeves:
            return refusal(404, "unknown_sleeve", "no sleeve of this name is at this desk")
        since, until = _count(request, "since_ms"), _count(request, "until_ms")
        if isinstance(since, Response) or isinstance(until, Response):
            return since if isinstance(since, Response) else cast(Response, until)
        slow = self._slow(request, self._folds)
        if slow is not None:
            return slow
        if self._folding:
            return refusal(429, "too_fast", "the journal is being read for somebody else: ask again", {"Retry-After": "1"})
        self._folding = True
        try:
            records = await self._records()
            asset, at = (
                sleeves[name].asset,
                (None if since is None else since * MILLISECOND, None if until is None else until * MILLISECOND),
            )
            found = await anyio.to_thread.run_sync(lambda: explain(records, name, asset, *at))
        finally:
            self._folding = False
        return _json(_waterfall(found))

    async def _records(self) -> list[Record]:
        """All records there are now, read in slices, between which the desk has its turn."""
        journal = self.desk.books.journal
        if isinstance(journal, Memory):
            return list(journal)
        records: list[Record] = []
        count = len(journal)
        while len(records) < count:
            some = list(islice(journal.after(len(records)), min(SLICE, count - len(records))))
            if not some:
                break
            records += some
            await anyio.sleep(0)
        return records

    async def journal(self, request: Request) -> Response:
        """Records of the journal behind a number, as they are written; the last ones where none is said."""
        after, limit = _count(request, "after"), _count(request, "limit")
        if isinstance(after, Response) or isinstance(limit, Response):
            return after if isinstance(after, Response) else cast(Response, limit)
        most = min(MOST_RECORDS, WIDE if limit is None else limit)
        slow = self._slow(request, self._wide if most > WIDE else None)
        if slow is not None:
            return slow
        journal = self.desk.books.journal
        count = len(journal)
        start = min(count, max(0, count - most) if after is None else after)
        lines = [f'{{"n":{n},"record":{encode(record)}}}' for n, record in enumerate(islice(journal.after(start), most), start + 1)]
        head = json.dumps({"length": count, "after": start, "next": start + len(lines)})
        return Response(f'{head[:-1]},"records":[{",".join(lines)}]}}', media_type="application/json")

    # -- instructions --------------------------------------------------------------------------------------------------

    async def _said(self, request: Request) -> Any:
        """The message in a request's body, of any kind that a page says; or the no."""
        body = await _body(request, LARGEST)
        if body is None:
            return _no(Refused(None, "too_large", f"at most {LARGEST} bytes are read"))
        try:
            return from_json(body)
        except BadMessage as error:
            return _no(Refused(error.id, error.code, str(error)))  # type: ignore[arg-type]

    async def preview(self, request: Request) -> Response:
        """What an instruction would do: the message `preview`, answered as on the socket."""
        slow = self._slow(request)
        message = slow or await self._said(request)
        if isinstance(message, Response):
            return message
        if not isinstance(message, Preview):
            return _no(Refused(None, "bad_message", "here a preview is asked for"))
        who = _who(request)
        found = self.clerk.preview(message, who.session, who.name)
        return _no(found) if isinstance(found, Refused) else Response(to_json(found), media_type="application/json")

    async def instruct(self, request: Request) -> Response:
        """An instruction: the message `do`, answered as on the socket; 202 while more is to come."""
        slow = self._slow(request)
        message = slow or await self._said(request)
        if isinstance(message, Response):
            return message
        if not isinstance(message, Do):
            return _no(Refused(None, "bad_message", "here something is to be done"))
        who = _who(request)
        try:
            return _answer(await self.clerk.do(message, who.session, who.name))
        except JournalError:
            log.exception("the journal could not keep an instruction: the desk is dead")
            return refusal(503, "dead", "the journal failed, so the desk is dead: what it would do cannot be kept")

    async def instructed(self, request: Request) -> Response:
        """How an instruction stands by now; with `wait`, in so many seconds or once it is through."""
        slow = self._slow(request)
        if slow is not None:
            return slow
        wait = _count(request, "wait")
        if isinstance(wait, Response):
            return wait
        found = self.clerk.ask(request.path_params["id"])
        if isinstance(found, Refused) and found.code != "read_only":
            return refusal(404, "unknown_instruction", found.message)
        if isinstance(found, Answer) and found.open and wait:
            found = await self.clerk.outcome(found.id, min(MOST_WAIT, wait))
        return _answer(found)

    # -- what all this is ----------------------------------------------------------------------------------------------

    async def schema(self, _: Request) -> Response:
        """The JSON Schema of every message and instruction."""
        return Response(_schema(), media_type="application/schema+json")

    async def openapi(self, request: Request) -> Response:
        """All of these addresses as an OpenAPI document."""
        root = str(request.scope.get("root_path", "")).rstrip("/")
        return Response(_described(root + "/", self.clerk.control is not None, self.guard.token is not None), media_type="application/json")


@cache
def _schema() -> str:
    """The schema's text, written once."""
    return _text(schema.document())


@lru_cache(maxsize=16)
def _described(server: str, commands: bool, sign_in: bool) -> str:
    """The OpenAPI document's text, written once for each place that it stands at."""
    return _text(openapi.document(server=server, commands=commands, sign_in=sign_in))


def _who(request: Request) -> Visitor:
    return cast(Visitor, request.scope[VISITOR])


def _path_of(request: Request) -> str:
    path, root = str(request.scope["path"]), str(request.scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if path.startswith(root) else path


def _cookie_path(request: Request) -> str:
    """Where the cookie is sent, as browsers write addresses; a semicolon, which would end it, is the one sign written otherwise."""
    return quote(str(request.scope.get("root_path", "")).rstrip("/") + "/", safe="/!$&'()*+,:=@~")


def _json(body: object) -> Response:
    return Response(_text(body), media_type="application/json")


def _text(body: object) -> str:
    return json.dumps(body, allow_nan=False, separators=(",", ":"))


def _no(refused: Refused) -> Response:
    status = STATUS[refused.code]
    return Response(to_json(refused), status, {"Retry-After": "1"} if status == 429 else None, "application/json")


def _answer(answer: Answer | Refused) -> Response:
    if isinstance(answer, Refused):
        return _no(answer)
    return Response(to_json(answer), 202 if answer.open else 200, media_type="application/json")


def _count(request: Request, name: str) -> int | Response | None:
    """A whole number among the query's fields; None where it is not there; or the no."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        return refusal(400, "bad_query", f"{name} is a whole number of 0 or more")
    return int(text)


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request; None where it is larger than that, of which no more is read."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return body


def _field(body: bytes, name: str) -> str:
    """A field of a form; empty where it is not there."""
    try:
        return parse_qs(body.decode("utf-8"), max_num_fields=10).get(name, [""])[0]
    except ValueError:
        return ""


def _waterfall(found: Waterfall) -> dict[str, object]:
    """A waterfall as plain data. Of the records behind each line, their count, the first and the last."""
    return {
        "sleeve": found.sleeve,
        "asset": None if found.end is None else found.end.asset.code,
        "since_ms": None if found.since is None else found.since // MILLISECOND,
        "until_ms": None if found.until is None else found.until // MILLISECOND,
        "start": None if found.start is None else found.start.text,
        "end": None if found.end is None else found.end.text,
        "exact": found.exact,
        "lines": [
            {
                "cause": line.cause,
                "amount": line.amount.text,
                "records": {"count": len(line.records), "first": line.records[0], "last": line.records[-1]},
            }
            for line in found.lines
        ],
    }


# -- files -----------------------------------------------------------------------------------------------------------------


class Files:
    """The page's files, read once: those of the package and no others, whatever is asked for."""

    def __init__(self) -> None:
        self._files = dict(_walk(files(__package__).joinpath("static"), ""))
        self._tags = {name: sha256(body).hexdigest()[:20] for name, body in self._files.items()}
        self._zipped = {name: gzip.compress(body, 9, mtime=0) for name, body in self._files.items()}
        self.build = sha256("".join(f"{name} {tag}\n" for name, tag in sorted(self._tags.items())).encode()).hexdigest()[:12]
        """What stands for all of them: another one as soon as any of them is another."""

    def page(self, name: str, title: str) -> str:
        """A page under its title, with the files of this build."""
        text = self._files[name].decode("utf-8").replace("<title>sleeves</title>", f"<title>{html.escape(title)}</title>")
        return text.replace('="static/', f'="static/{self.build}/')

    def answer(self, path: str, headers: Mapping[str, str]) -> Response:
        """A file, by its path with the build before it or without."""
        build, _, rest = path.partition("/")
        name = rest if build == self.build else path
        body = self._files.get(name)
        if body is None:
            return refusal(404, "no_file", "the page has no such file")
        tag = f'"{self._tags[name]}"'
        keep = "private, max-age=31536000, immutable" if name != path else "private, no-cache"
        said = {"ETag": tag, "Cache-Control": keep, "Vary": "Accept-Encoding"}
        if tag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=said)
        if "gzip" in headers.get("accept-encoding", "") and len(self._zipped[name]) < len(body):
            body, said = self._zipped[name], said | {"Content-Encoding": "gzip"}
        return Response(body, headers=said | {"Content-Type": KINDS[name.rpartition(".")[2]]})


def _walk(folder: Any, above: str) -> Iterable[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _walk(one, f"{above}{one.name}/")
        elif one.name.rpartition(".")[2] in KINDS:
            yield above + one.name, one.read_bytes()
