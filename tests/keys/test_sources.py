"""Each source gives what was put in, and what is not there, not allowed, or not what it was is one clear error."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import keyring.backend
import keyring.errors
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyring.backends import fail

from keys.sentinel import Sentinel
from sleeves.errors import MissingExtra
from sleeves.keys import Callback, EncryptedFile, Environment, InvalidKey, Keyring, KeysError, NoSecret, Sealed, Secret, sources

PHRASE = "correct horse battery"
BAD_NAMES = ["", "A", "a b", "../a", "a/b", "é", "-a", "a" * 65, None, 7, b"a", "a\n", "a\0"]

posix = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")


def ask(phrase=PHRASE):
    return lambda: phrase


@pytest.fixture
def cheap(monkeypatch):
    """Scrypt at a price that lets a test open hundreds of files; what it must cost is tested by itself."""
    monkeypatch.setattr(sources, "COST", sources.Cost(2**4, 8, 1))


@pytest.fixture
def file(tmp_path, cheap):
    with EncryptedFile.create(tmp_path / "main.keys", ask()) as made:
        made.put("main.key", Secret("the key"))
        made.put("main.secret", Secret(b"\xff\0bytes"))
        yield made


# -- the environment -----------------------------------------------------------------------------------------------------


def test_a_variable_of_the_environment(monkeypatch):
    monkeypatch.setenv("SLEEVES_KRAKEN_MAIN_SECRET", "s3cret")
    assert Environment().get("kraken-main.secret").reveal() == "s3cret"
    assert Environment().variable("kraken-main.secret") == "SLEEVES_KRAKEN_MAIN_SECRET"
    assert Environment("", {"A_B": "x"}).get("a.b") == Secret("x")


def test_a_variable_that_is_not_there_or_empty_is_told():
    for environ in ({}, {"SLEEVES_MAIN_KEY": ""}):
        with pytest.raises(NoSecret, match="SLEEVES_MAIN_KEY is not set"):
            Environment(environ=environ).get("main.key")


# -- a callback ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["text", b"bytes", Secret("secret")])
def test_a_callback_gives_text_bytes_or_a_secret(value):
    asked = []
    source = Callback(lambda name: asked.append(name) or value)
    assert source.get("main.key") == (value if isinstance(value, Secret) else Secret(value))
    assert asked == ["main.key"]


@pytest.mark.parametrize("value", ["", b"", None, 7])
def test_a_callback_that_gives_nothing_is_told(value):
    with pytest.raises(NoSecret, match=r"main\.key gave no text or bytes"):
        Callback(lambda name: value).get("main.key")


def test_what_a_callback_raises_is_told_by_its_kind_and_left_behind():
    sentinel = Sentinel()

    def fetch(name):
        held = sentinel.value
        raise ConnectionError(f"GET /secret?token={held}")

    with pytest.raises(NoSecret, match=r"the callback for main\.key raised ConnectionError") as failed:
        Callback(fetch).get("main.key")
    assert failed.value.__context__ is None
    assert sentinel.found(failed.value) == []


def test_a_callback_is_broken_off_by_a_human():
    def fetch(name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Callback(fetch).get("main.key")


# -- the keyring ---------------------------------------------------------------------------------------------------------


class InMemory(keyring.backend.KeyringBackend):
    """A keyring of this process."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        if (service, username) not in self.kept:
            raise keyring.errors.PasswordDeleteError(f"no {username}")
        del self.kept[service, username]


class Broken(InMemory):
    def get_password(self, service, username):
        held = self.kept[service, username]
        raise keyring.errors.KeyringError(f"could not unlock {held}")

    def set_password(self, service, username, password):
        super().set_password(service, username, password)
        raise keyring.errors.PasswordSetError(password)


class PlaintextKeyring(InMemory):
    pass


def test_a_keyring_keeps_gives_and_forgets():
    source = Keyring("test", InMemory())
    source.put("main.key", Secret("abc"))
    assert source.get("main.key") == Secret("abc")
    source.remove("main.key")
    with pytest.raises(NoSecret, match=r"no main\.key of service test"):
        source.get("main.key")
    with pytest.raises(NoSecret, match="PasswordDeleteError"):
        source.remove("main.key")


def test_the_systems_keyring_is_used_where_none_is_handed_in():
    before = keyring.get_keyring()
    try:
        keyring.set_keyring(InMemory())
        Keyring().put("main.key", Secret("abc"))
        assert keyring.get_password("sleeves", "main.key") == "abc"
        assert Keyring().get("main.key") == Secret("abc")
    finally:
        keyring.set_keyring(before)


def test_a_machine_without_a_keyring_says_so():
    with pytest.raises(NoSecret, match="this machine has none"):
        Keyring("test", fail.Keyring()).get("main.key")


def test_a_keyring_of_plain_text_is_refused():
    for backend in (PlaintextKeyring(), type("Chain", (InMemory,), {"backends": [InMemory(), PlaintextKeyring()]})()):
        with pytest.raises(KeysError, match="PlaintextKeyring keeps plain text"):
            Keyring("test", backend).put("main.key", Secret("abc"))
        assert backend.kept == {}


def test_what_a_keyring_raises_shows_nothing():
    sentinel = Sentinel()
    source = Keyring("test", Broken())
    with pytest.raises(NoSecret, match="PasswordSetError") as unset:
        source.put("main.key", Secret(sentinel.value))
    with pytest.raises(NoSecret, match="KeyringError") as unread:
        source.get("main.key")
    assert sentinel.found(unset.value, unread.value) == []


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_is_refused_by_every_source(name, file):
    for source in (Environment(), Callback(lambda n: "x"), Keyring("test", InMemory()), file):
        with pytest.raises(InvalidKey, match="the name of a secret"):
            source.get(name)
    for source in (Keyring("test", InMemory()), file):
        with pytest.raises(InvalidKey):
            source.put(name, Secret("x"))
        with pytest.raises(InvalidKey):
            source.remove(name)


def test_only_a_secret_is_kept(file):
    sentinel = Sentinel()
    for source in (Keyring("test", InMemory()), file):
        with pytest.raises(InvalidKey, match="not str") as refused:
            source.put("main.key", sentinel.value)
        assert sentinel.found(refused.value) == []


# -- the file: what it keeps ---------------------------------------------------------------------------------------------


def test_a_file_keeps_at_the_cost_that_is_promised_and_opens_again(tmp_path):
    path = tmp_path / "main.keys"
    with EncryptedFile.create(path, ask()) as made:
        made.put("main.key", Secret("the key"))
    told = json.loads(path.read_text())
    assert (told["scrypt"]["n"], told["scrypt"]["r"], told["scrypt"]["p"]) == (2**17, 8, 1)
    assert len(b64decode(told["scrypt"]["salt"])) == 16
    with EncryptedFile.open(str(path), ask()) as opened:
        assert opened.names == ["main.key"]
        assert opened.get("main.key").reveal() == "the key"


def test_the_price_is_neither_lowered_nor_raised_beyond_reason(tmp_path, monkeypatch):
    path = tmp_path / "main.keys"
    with monkeypatch.context() as cheaply:
        cheaply.setattr(sources, "COST", sources.Cost(2**14, 8, 1))
        EncryptedFile.create(path, ask()).close()
    asked = []
    for n in (2**14, 2**16, 2**17 + 1, 2**21, 2**60, -1, 0, 1.5, "131072", None, True):
        told = json.loads(path.read_text())
        told["scrypt"]["n"] = n
        path.write_bytes(sources._json(told))
        with pytest.raises(Sealed, match="wrong, or the file was changed"):
            EncryptedFile.open(path, lambda: asked.append(1) or PHRASE)
    assert asked == []  # nobody types a passphrase into what cannot be opened


def test_values_are_kept_replaced_and_removed(file):
    assert file.get("main.secret") == Secret(b"\xff\0bytes")
    file.put("main.key", Secret("another"))
    assert file.get("main.key").reveal() == "another"
    file.remove("main.secret")
    for again in (file, EncryptedFile.open(file.path, ask())):
        assert again.names == ["main.key"]
        assert again.get("main.key").reveal() == "another"
        with pytest.raises(NoSecret, match=r"no main\.secret; it has main\.key"):
            again.get("main.secret")
        with pytest.raises(NoSecret):
            again.remove("main.secret")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True), st.binary(min_size=1, max_size=200), max_size=6))
def test_whatever_is_put_in_comes_out_of_the_file(cheap, tmp_path_factory, values):
    path = tmp_path_factory.mktemp("file") / "some.keys"
    with EncryptedFile.create(path, ask()) as made:
        for name, value in values.items():
            made.put(name, Secret(value))
    with EncryptedFile.open(path, ask()) as opened:
        assert opened.names == sorted(values)
        assert all(opened.get(name) == Secret(value) for name, value in values.items())


def test_no_value_and_no_passphrase_is_in_the_folder_or_in_the_object(tmp_path, cheap):
    sentinel, phrase = Sentinel(), Sentinel()
    with EncryptedFile.create(tmp_path / "main.keys", lambda: phrase.value) as made:
        made.put("main.key", Secret(sentinel.value))
        made.put("main.other", Secret(sentinel.value[::-1]))
        for search in (sentinel, phrase):
            assert search.found(tmp_path, made) == []


def test_equal_values_are_sealed_differently(file):
    file.put("a", Secret("same"))
    file.put("b", Secret("same"))
    first = dict(file._records)
    file.put("a", Secret("same"))
    assert len({first["a"], first["b"], file._records["a"]}) == 3


def test_the_passphrase_can_be_typed_on_any_keyboard(tmp_path, cheap):
    EncryptedFile.create(tmp_path / "f", ask("café au lait, s'il vous plaît")).close()
    EncryptedFile.open(tmp_path / "f", ask("cafe\u0301 au lait, s'il vous plai\u0302t")).close()
    EncryptedFile.open(tmp_path / "f", ask(Secret("café au lait, s'il vous plaît"))).close()


def test_another_passphrase(file):
    before = file.path.read_bytes()
    file.change_passphrase(ask("another good passphrase"))
    assert file.get("main.key") == Secret("the key")
    with pytest.raises(Sealed):
        EncryptedFile.open(file.path, ask())
    with EncryptedFile.open(file.path, ask("another good passphrase")) as opened:
        assert opened.get("main.secret") == Secret(b"\xff\0bytes")
    assert json.loads(before)["scrypt"]["salt"] != json.loads(file.path.read_bytes())["scrypt"]["salt"]


# -- the file: what it refuses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phrase", ["", "short", "elevenchars", None, 7, b""])
def test_a_file_is_not_made_under_a_passphrase_that_is_too_short_or_none(tmp_path, cheap, phrase):
    with pytest.raises((InvalidKey, NoSecret)):
        EncryptedFile.create(tmp_path / "f", ask(phrase))
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_is_asked_for_and_never_an_argument(tmp_path, file):
    sentinel = Sentinel()
    calls = [
        lambda: EncryptedFile.create(tmp_path / "f", sentinel.value),
        lambda: EncryptedFile.open(file.path, sentinel.value),
        lambda: file.change_passphrase(sentinel.value),
    ]
    for call in calls:
        with pytest.raises(InvalidKey, match="comes from a callable") as refused:
            call()
        assert sentinel.found(refused.value) == []


def test_what_asks_for_the_passphrase_may_fail_and_shows_nothing(tmp_path, cheap):
    sentinel = Sentinel()

    def getpass():
        raise EOFError(sentinel.value)

    with pytest.raises(NoSecret, match="asked for the passphrase raised EOFError") as failed:
        EncryptedFile.create(tmp_path / "f", getpass)
    assert sentinel.found(failed.value) == []


def test_nothing_there_is_told_apart_from_what_cannot_be_opened(tmp_path, file):
    with pytest.raises(NoSecret, match="there is no file"):
        EncryptedFile.open(tmp_path / "nothing", ask())
    with pytest.raises(Sealed) as wrong:
        EncryptedFile.open(file.path, ask("correct horse bakery"))
    assert str(wrong.value) == f"{file.path} cannot be opened: the passphrase is wrong, or the file was changed"
    file.path.write_bytes(_flipped(file.path.read_bytes(), "seal"))
    with pytest.raises(Sealed) as changed:
        EncryptedFile.open(file.path, ask())
    assert str(changed.value) == str(wrong.value)


def _flipped(text, part):
    told = json.loads(text)
    raw = bytearray(b64decode(told[part]))
    raw[-1] ^= 1
    return sources._json({**told, part: b64encode(raw).decode()})


def test_every_single_bit_of_the_file_counts(file):
    """Each byte of the file is changed in one bit, and each time it does not open."""
    whole = file.path.read_bytes()
    key, opened = file._key, []
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 7)
        try:
            cost, salt, records, seal = sources._parsed(file.path, bytes(changed))
            probe = EncryptedFile(file.path, key, cost, salt, records, b"")
            if (cost, salt) == (file._cost, file._salt) and probe._unlock(seal, probe._summary(records)) is not None:
                opened.append(place)
        except Sealed:
            pass
    assert opened == []
    assert len(whole) > 300


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_file_is_not_opened(file, seed):
    """The same through the front door, at some places."""
    whole = bytearray(file.path.read_bytes())
    whole[(seed * 7919) % len(whole)] ^= 1
    file.path.write_bytes(whole)
    with pytest.raises(Sealed):
        EncryptedFile.open(file.path, ask())


def test_values_are_bound_to_their_names_and_none_is_put_back_or_taken_out(file):
    whole = json.loads(file.path.read_text())
    secrets = whole["secrets"]
    file.put("main.key", Secret("the new key"))
    newer = json.loads(file.path.read_text())
    tries = {
        "swapped": {"main.key": secrets["main.secret"], "main.secret": secrets["main.key"]},
        "renamed": {"other.key": secrets["main.key"], "main.secret": secrets["main.secret"]},
        "removed": {"main.key": newer["secrets"]["main.key"]},
        "put back": {**newer["secrets"], "main.key": secrets["main.key"]},
        "added": {**newer["secrets"], "more": secrets["main.key"]},
    }
    for what, changed in tries.items():
        for seal in (whole["seal"], newer["seal"]):
            file.path.write_bytes(sources._json({**newer, "secrets": dict(sorted(changed.items())), "seal": seal}))
            if {**newer, "secrets": changed, "seal": seal} != whole:
                assert not opens(file.path), what
    file.path.write_bytes(sources._json(newer))
    assert EncryptedFile.open(file.path, ask()).get("main.key").reveal() == "the new key"
    assert file._unlock(file._records["main.key"], sources._bound("main.secret")) is None


def opens(path):
    try:
        EncryptedFile.open(path, ask()).close()
    except Sealed:
        return False
    return True


HOSTILE = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"format": "sleeves keys"}',
    b'{"format": "sleeves keys", "version": 2}',
    b'{"format": "sleeves keys", "version": true}',
    b'{"format": "sleeves keys", "version": 1, "scrypt": 5, "secrets": {}, "seal": ""}',
    b'{"format": "sleeves keys", "version": 1, "scrypt": {"n": 131072, "r": 8, "p": 1, "salt": "AA=="}, "secrets": [], "seal": ""}',
    b'{"format": "sleeves keys", "version": 1, "scrypt": {"n": NaN, "r": 8, "p": 1, "salt": ""}, "secrets": {}, "seal": ""}',
    b'{"format": "sleeves keys", "version": 1, "scrypt": {"n": 1e999, "r": 8, "p": 1, "salt": ""}, "secrets": {"../x": 1}, "seal": 7}',
    b"x" * 1_048_577,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_file_of_keys_is_not_opened_and_no_passphrase_asked(file, text):
    file.path.write_bytes(text)
    asked = []
    with pytest.raises(Sealed):
        EncryptedFile.open(file.path, lambda: asked.append(1) or PHRASE)
    assert asked == []


def test_a_name_given_twice_is_a_changed_file(file):
    text = file.path.read_text()
    line = next(line for line in text.splitlines() if '"main.key"' in line)
    file.path.write_text(text.replace(line, line + "\n" + line))
    with pytest.raises(Sealed):
        EncryptedFile.open(file.path, ask())


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_a_file_that_others_may_reach_is_refused_for_reading_and_writing(file, mode):
    file.path.chmod(mode)
    before = file.path.read_bytes()
    for do in (lambda: EncryptedFile.open(file.path, ask()), lambda: file.put("a", Secret("b"))):
        with pytest.raises(Sealed, match=f"mode {mode:04o}"):
            do()
    assert file.path.read_bytes() == before


@posix
def test_a_file_is_made_for_its_owner_alone_whatever_the_umask(tmp_path, cheap):
    before = os.umask(0)
    try:
        made = EncryptedFile.create(tmp_path / "f", ask())
        made.put("a", Secret("b"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


@posix
def test_links_folders_and_pipes_are_no_files(tmp_path, file):
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(file.path)
    os.mkfifo(pipe, 0o600)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    for path in (link, pipe, folder):
        with pytest.raises(Sealed):
            EncryptedFile.open(path, ask())


def test_a_file_that_is_there_is_not_made_anew(file):
    before = file.path.read_bytes()
    with pytest.raises(KeysError, match="is there already"):
        EncryptedFile.create(file.path, ask())
    assert file.path.read_bytes() == before
    assert [one.name for one in file.path.parent.iterdir()] == ["main.keys"]


def test_a_folder_that_is_not_there_is_told(tmp_path, cheap):
    with pytest.raises(KeysError, match="cannot be written"):
        EncryptedFile.create(tmp_path / "none" / "f", ask())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(file, monkeypatch, call):
    before = file.path.read_bytes()

    def fails(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"sleeves.keys.sources.os.{call}", fails)
    with pytest.raises(KeysError, match="No space left"):
        file.put("main.key", Secret("new"))
    monkeypatch.undo()
    assert file.path.read_bytes() == before
    assert [one.name for one in file.path.parent.iterdir()] == ["main.keys"]
    assert file.get("main.key").reveal() == "the key"


def test_a_file_that_another_program_changed_is_not_overwritten(file):
    with EncryptedFile.open(file.path, ask()) as other:
        other.put("main.key", Secret("of another"))
    with pytest.raises(KeysError, match="changed by another program"):
        file.put("main.key", Secret("mine"))
    assert EncryptedFile.open(file.path, ask()).get("main.key").reveal() == "of another"


def test_a_closed_file_gives_nothing(file):
    file.close()
    file.close()
    for do in (lambda: file.get("main.key"), lambda: file.put("a", Secret("b")), lambda: file.remove("main.key")):
        with pytest.raises(KeysError, match="was closed"):
            do()
    with pytest.raises(KeysError, match="was closed"):
        file.change_passphrase(ask("another good passphrase"))
    assert "closed" in repr(file)


# -- without the extra ---------------------------------------------------------------------------------------------------


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    for name in ("cryptography.exceptions", "cryptography", "keyring"):
        monkeypatch.setitem(sys.modules, name, None)
    asked = []
    for do in (EncryptedFile.create, EncryptedFile.open):
        with pytest.raises(MissingExtra, match=r"sleeves\[keys\]"):
            do(tmp_path / "f", lambda: asked.append(1) or PHRASE)
    with pytest.raises(MissingExtra, match=r"sleeves\[keys\]"):
        Keyring().get("a")
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_importing_keys_needs_no_extra():
    code = "import sys, sleeves.keys; print(sorted({'cryptography', 'keyring', 'structlog'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2] / "src")
    assert done.stdout.strip() == "[]"
