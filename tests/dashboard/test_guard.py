"""Who is let in, from where, and how often: by tables, with a clock that the test moves."""

from __future__ import annotations

import traceback

import pytest

from sleeves.dashboard.guard import LASTS, SIGN_INS, TOKEN_PROTOCOL, Failures, Guard, Rate, Rates, new_token
from sleeves.errors import VaultError
from sleeves.keys import Secret

TOKEN = "a-token-of-enough-letters"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


# -- tokens ----------------------------------------------------------------------------------------------------------------


NO_TOKENS = ["", "short", "x" * 15, "x" * 257, "with a space in it 1234", 'quo"te-quote-quote', "umläut-umläut-umläut"]
NO_TOKENS += ["new\nline-new-line-12", "comma,comma,comma,1", 17]
NO_ORIGINS = ["https://a.example/", "https://a.example:x", "ftp://a.example", "null", "https://", "https://u@a.example", "*"]


@pytest.mark.parametrize("token", NO_TOKENS)
def test_a_token_that_could_not_be_sent_or_be_guessed_is_refused_and_not_shown(token):
    with pytest.raises(VaultError) as raised:
        Guard(token)
    text = "".join(traceback.format_exception(raised.value))
    assert not str(token) or len(str(token)) < 6 or str(token) not in str(raised.value)
    assert "16 to 256" in text


def test_a_token_is_in_no_text_of_the_guard():
    guard = Guard(TOKEN)
    assert TOKEN not in repr(guard) + repr(vars(guard)) + str(guard.who(authorization=f"Bearer {TOKEN}"))


def test_new_tokens_are_long_and_never_the_same():
    tokens = {new_token().reveal() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43
    assert all(Guard(token).opens(token) for token in tokens)


@pytest.mark.parametrize(
    ("authorization", "let_in"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer   {TOKEN} ", True),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        ("Bearer", False),
        ("", False),
        ("Bearer " + "x" * 10_000, False),
        ("Bearer töken", False),
        (None, False),
    ],
)
def test_a_bearer_opens_with_the_very_token(authorization, let_in):
    assert (Guard(TOKEN).who(authorization=authorization) is not None) is let_in


def test_a_socket_may_bear_the_token_as_a_subprotocol():
    guard = Guard(Secret(TOKEN))
    assert guard.who(protocols=["sleeves.v1", TOKEN_PROTOCOL + TOKEN]) is not None
    assert guard.who(protocols=["sleeves.v1", TOKEN_PROTOCOL + "wrong"]) is None
    assert guard.who(protocols=["sleeves.v1"]) is None
    assert guard.who(protocols=["sleeves.v1", TOKEN_PROTOCOL + TOKEN]).ambient is False


def test_without_a_token_nothing_opens():
    guard = Guard(None)
    assert not guard.opens("")
    assert guard.who(authorization="Bearer None", protocols=[TOKEN_PROTOCOL], cookie="x") is None


# -- sign-ins --------------------------------------------------------------------------------------------------------------


def test_a_sign_in_lasts_until_it_is_ended_or_old():
    clock = Clock()
    guard = Guard(TOKEN, by="ann", clock=clock)
    cookie = guard.sign_in()
    who = guard.who(cookie=cookie)
    assert (who.name, who.ambient) == ("ann", True)
    assert cookie not in repr(vars(guard))
    assert guard.signed_in(who)
    other = guard.who(cookie=guard.sign_in())
    assert other.session != who.session
    guard.sign_out(cookie)
    assert guard.who(cookie=cookie) is None
    assert not guard.signed_in(who)
    assert guard.signed_in(other)
    clock.now += LASTS
    assert not guard.signed_in(other)
    assert guard.who(cookie="") is None
    assert guard.who(cookie="x" * 100_000) is None


def test_sign_ins_are_bounded_and_those_in_use_stay():
    guard = Guard(TOKEN)
    first = guard.sign_in()
    for _ in range(SIGN_INS - 1):
        guard.sign_in()
    assert guard.who(cookie=first) is not None
    for _ in range(SIGN_INS // 2):
        guard.sign_in()
    assert guard.who(cookie=first) is not None
    assert len(guard._signed_in) == SIGN_INS


def test_two_pages_on_one_host_have_cookies_of_their_own():
    assert Guard(TOKEN).cookie != Guard(TOKEN).cookie


@pytest.mark.parametrize("name", ["", " ann", "ann\n", "ann+bots@example.com", "x" * 65, "änn", "<b>", None, 7])
def test_a_name_that_no_instruction_may_bear_is_refused(name):
    with pytest.raises(VaultError, match="no name for instructions"):
        Guard(TOKEN).named(name)
    with pytest.raises(VaultError, match="no name for instructions"):
        Guard(TOKEN, by=name)


def test_a_host_apps_name_is_taken_as_it_is():
    who = Guard(None).named("ann@example.com")
    assert (who.name, who.ambient) == ("ann@example.com", True)
    assert Guard(None).named("bob").session != who.session
    assert Guard(None).signed_in(who)


# -- from where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8000", False),
        ("127.0.0.1:8000@evil.example", False),
        ("127.0.0.1:8000:9", False),
        ("127.0.0.1:port", False),
        ("[::1", False),
        ("*", False),
        ("", False),
        (None, False),
        ("x" * 400, False),
    ],
)
def test_a_page_answers_to_loopback_names_alone_by_default(host, ours):
    assert Guard(TOKEN).names(host) is ours


def test_hosts_are_the_names_that_were_said_and_any_only_where_that_was_said():
    guard = Guard(TOKEN, hosts=["Bots.Example.com"])
    assert guard.names("bots.example.COM:443")
    assert not guard.names("localhost")
    assert Guard(TOKEN, hosts=["*"]).names("whatever.example:1")
    assert not Guard(TOKEN, hosts=["*"]).names("what ever")


@pytest.mark.parametrize(
    "terms", [{"hosts": ["a:80"]}, {"hosts": ["http://a"]}, {"hosts": "a"}, {"origins": ["a"]}, {"origins": ["https://a/b"]}]
)
def test_hosts_and_origins_that_are_none_are_refused(terms):
    with pytest.raises(VaultError):
        Guard(TOKEN, **terms)


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "https://a.example:x", "ftp://a.example", "null", "https://", "https://u@a.example", "*"]
)
def test_an_origin_that_is_none_is_refused_and_known_nowhere(origin):
    with pytest.raises(VaultError):
        Guard(TOKEN, origins=[origin])
    assert not Guard(TOKEN, hosts=["*"]).knows(origin, "a.example", secure=False)


@pytest.mark.parametrize(
    ("origin", "host", "secure", "known"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", False, True),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False, False),
        ("http://localhost:8000", "127.0.0.1:8000", False, False),
        ("https://127.0.0.1", "127.0.0.1", False, True),  # behind a proxy that ends TLS
        ("http://127.0.0.1", "127.0.0.1", True, False),
        ("https://127.0.0.1", "127.0.0.1:443", True, True),
        ("http://127.0.0.1", "127.0.0.1:80", False, True),
        ("https://app.example", "127.0.0.1:8000", False, True),
        ("https://app.example:443", "127.0.0.1:8000", False, True),
        ("http://app.example", "127.0.0.1:8000", False, False),
        ("https://app.example.evil.example", "127.0.0.1:8000", False, False),
        ("https://evil.example", "127.0.0.1:8000", False, False),
        ("null", "127.0.0.1:8000", False, False),
        ("", "127.0.0.1:8000", False, False),
    ],
)
def test_origins_are_the_pages_own_or_those_that_were_said(origin, host, secure, known):
    guard = Guard(TOKEN, origins=["https://app.example"])
    assert guard.knows(origin, host, secure=secure) is known
    for who in (guard.who(authorization=f"Bearer {TOKEN}"), guard.who(cookie=guard.sign_in())):
        assert (guard.may_ask(who, origin=origin, host=host, secure=secure) == "") is known


def test_only_who_sends_the_token_itself_may_leave_its_origin_out():
    guard = Guard(TOKEN)
    ask = {"origin": None, "host": "127.0.0.1:8000", "secure": False}
    assert guard.may_ask(guard.who(authorization=f"Bearer {TOKEN}"), **ask) == ""
    assert guard.may_ask(guard.who(protocols=[TOKEN_PROTOCOL + TOKEN]), **ask) == ""
    assert "Origin" in guard.may_ask(guard.who(cookie=guard.sign_in()), **ask)
    assert "Origin" in guard.may_ask(guard.named("ann"), **ask)


# -- how often -------------------------------------------------------------------------------------------------------------


def test_a_rate_gives_a_burst_and_then_so_many_a_second():
    clock = Clock()
    rate = Rate(20, 40, clock)
    assert [rate.take() for _ in range(41)] == [True] * 40 + [False]
    clock.now += 0.5
    assert [rate.take() for _ in range(11)] == [True] * 10 + [False]
    clock.now += 1_000
    assert sum(rate.take() for _ in range(100)) == 40


def test_rates_are_apart_and_bounded():
    clock = Clock()
    rates = Rates(1, 2, clock, most=3)
    assert [rates.take("a") for _ in range(3)] == [True, True, False]
    assert rates.take("b")
    for name in "cde":
        rates.take(name)
    assert len(rates._rates) == 3


def test_wrong_tokens_wait_longer_and_longer_and_only_so_many():
    clock = Clock()
    failures = Failures(clock)
    waits = [failures.note() for _ in range(30)]
    assert waits[: Failures.FREE] == [0.0] * Failures.FREE
    later = waits[Failures.FREE :]
    assert later == sorted(later)
    assert later[0] > 0
    assert later[-1] == Failures.LONGEST
    failures.waiting = Failures.WAITING
    assert failures.note() is None
    clock.now += 60
    assert failures.note() == 0.0


def test_who_guesses_does_not_slow_or_lock_out_who_knows():
    guard = Guard(TOKEN)
    for n in range(1_000):
        assert guard.who(authorization=f"Bearer wrong-{n}") is None
        guard.failures.note()
    assert guard.who(authorization=f"Bearer {TOKEN}") is not None
