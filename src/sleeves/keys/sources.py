"""Where secrets come from: environment variables, the system's keyring, an encrypted file, or a call to a key service.

A source is asked for a name and gives a `Secret`; it knows nothing of what the secret is for. What another program says when it
fails may have the secret in it, so that only the kind of its error is told on, and nothing is chained to it.

The encrypted file is JSON that a human can look at. Names are in clear; each value is sealed by itself with AES-256-GCM, bound
to its name and to the version of the format, under a key that scrypt (N = 2^17, r = 8, p = 1, what OWASP's cheat sheet on
passwords asks for) makes from the passphrase. A seal over the whole shows when a value was removed, renamed or put back. What
it cannot show is that the whole file was replaced by an older copy of itself.

`EncryptedFile` and `Keyring` need the `keys` extra.
"""

from __future__ import annotations

import json
import os
import re
import stat
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, NoReturn, Protocol

from attrs import frozen

from ..errors import MissingExtra
from .secret import InvalidKey, KeysError, NoSecret, Sealed, Secret, Unwritable

__all__ = ["Callback", "EncryptedFile", "Environment", "Keyring", "Passphrase", "SecretSource", "secret_name"]

Passphrase = Callable[[], "str | Secret"]
"""What is called for a passphrase when one is needed: `getpass.getpass`, or what reads a file descriptor. Never an argument
of a command, which every user of the machine can read."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def secret_name(name: object) -> str:
    """The name, if it is one; `InvalidKey` says what a name must be."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidKey(f"the name of a secret is 1 to 64 of a-z 0-9 _ . - and starts with a letter or digit, not {_shown(name)}")
    return name


def _shown(name: object) -> str:
    """Not what it is: somebody may have taken a value for its name."""
    return f"this text of {len(name)} letters" if isinstance(name, str) else f"a value of {type(name).__name__}"


class SecretSource(Protocol):
    """What can be asked for a secret."""

    def get(self, name: str) -> Secret:
        """The secret of that name. Raises `NoSecret` where there is none, `InvalidKey` for what is no name.

        It may take a while and is for the start of a program, before any event loop runs.
        """


class Environment:
    """Environment variables: `kraken-main.secret` is `SLEEVES_KRAKEN_MAIN_SECRET`.

    Every child process inherits them, and any program of the same user can read them: good enough for a container, worse than
    the keyring or a file. `environ` is `os.environ` where none is handed in; it is read when a secret is asked for.
    """

    __slots__ = ("_ask", "prefix")
    _ask: Callable[[str], str | None]

    def __init__(self, prefix: str = "SLEEVES_", environ: Mapping[str, str] | None = None) -> None:
        self.prefix = prefix
        self._ask = lambda variable: (os.environ if environ is None else environ).get(variable)  # no dump looks into it

    def variable(self, name: str) -> str:
        """Which variable a name stands for: capitals, and _ for . and -."""
        return self.prefix + re.sub(r"[.-]", "_", secret_name(name)).upper()

    def get(self, name: str) -> Secret:
        """Raises `NoSecret` where the variable is not set, or is empty."""
        variable = self.variable(name)
        if not self._ask(variable):
            raise NoSecret(f"environment variable {variable} is not set")
        return _secret(self._ask(variable))

    def __repr__(self) -> str:
        return f"Environment({self.prefix!r})"


@frozen
class Callback:
    """A key service, or anything else: `fetch(name)` gives the value. It is called each time; nothing is kept."""

    fetch: Callable[[str], str | bytes | Secret]

    def get(self, name: str) -> Secret:
        """Raises `NoSecret` where the call raised, told by the kind of its error alone, or gave nothing."""
        return _asked(lambda: self.fetch(name), f"the callback for {secret_name(name)}")

    def __repr__(self) -> str:
        return "Callback()"


def _asked(ask: Callable[[], object], what: str) -> Secret:
    """What a call of somebody else's gave, as a secret; its error is left behind, with whatever is in it and in its frames."""
    failed = ""
    try:
        return _secret(ask())
    except InvalidKey:
        failed = "gave no text or bytes, or too many"
    except Exception as error:
        failed = f"raised {type(error).__name__}"
    raise NoSecret(f"{what} {failed}")


def _secret(value: object) -> Secret:
    try:
        return value if isinstance(value, Secret) else Secret(value)  # type: ignore[arg-type]
    finally:
        del value


# -- the system's keyring ------------------------------------------------------------------------------------------------


@frozen(repr=False)
class Keyring:
    """The keyring of the system: Keychain, Secret Service, Credential Locker. Needs the `keys` extra.

    `backend` is the keyring to use; the system's best where none is handed in. A machine without a desktop mostly has none.
    One that writes plain text is refused.
    """

    service: str = "sleeves"
    _backend: Any = None

    def get(self, name: str) -> Secret:
        """Raises `NoSecret` where there is none, or no keyring; `KeysError` for one that keeps plain text."""
        name = secret_name(name)
        ring = self._ring()
        found = _told(lambda: ring.get_password(self.service, name), f"the keyring, asked for {name},")
        if found is None:
            raise NoSecret(f"the keyring has no {name} of service {self.service}")
        return found

    def put(self, name: str, secret: Secret) -> None:
        """Keep a secret. Raises as `get` does."""
        if wrong := _not_kept(secret):
            del secret  # a traceback with locals must not show it
            raise InvalidKey(wrong)
        name, ring = secret_name(name), self._ring()
        _told(lambda: ring.set_password(self.service, name, secret.reveal()), f"the keyring, given {name},")

    def remove(self, name: str) -> None:
        """Raises as `get` does, and `NoSecret` where there is none."""
        name, ring = secret_name(name), self._ring()
        _told(lambda: ring.delete_password(self.service, name), f"the keyring, told to forget {name},")

    def _ring(self) -> Any:
        try:
            import keyring
        except ImportError as error:
            raise MissingExtra("keyring", "keys", "the system's keyring") from error
        ring = keyring.get_keyring() if self._backend is None else self._backend
        for one in (ring, *getattr(ring, "backends", ())):
            if "plain" in type(one).__name__.lower():
                raise KeysError(f"the keyring {type(one).__name__} keeps plain text: use an EncryptedFile instead")
        return ring

    def __repr__(self) -> str:
        return f"Keyring({self.service!r})"


def _told(do: Callable[[], object], what: str) -> Secret | None:
    """What the keyring gave; an error of its is told by its kind alone, and an empty value is none."""
    failed = ""
    try:
        return _secret_or_none(do())
    except Exception as error:  # each backend raises what it likes
        failed = type(error).__name__
    raise NoSecret(f"{what} raised {failed}" + (": this machine has none" if failed == "NoKeyringError" else ""))


def _secret_or_none(value: object) -> Secret | None:
    try:
        return _secret(value) if value else None
    finally:
        del value


def _not_kept(secret: object) -> str:
    """Why this cannot be kept; nothing where it can. Whoever asks forgets it and raises."""
    return "" if isinstance(secret, Secret) else f"what is kept is a Secret, not {type(secret).__name__}: Secret(value)"


# -- the encrypted file --------------------------------------------------------------------------------------------------

FORMAT = "sleeves keys"
VERSION = 1
MOST_BYTES = 1_048_576
LEAST_PASSPHRASE = 12


@frozen
class Cost:
    """What scrypt is asked for: N, r and p."""

    n: int
    r: int
    p: int


COST = Cost(2**17, 8, 1)
"""128 MiB and about a third of a second."""
MOST_N = 2**20
"""More would only be there to make this machine run out of memory."""


class EncryptedFile:
    """Secrets in one file that only its owner can read, under a passphrase. Made by `create` and `open`.

    The passphrase is asked for once and not kept; the key made from it is, as a `Secret`, until `close`. A file is written whole
    beside the old one and then put in its place, so that a crash leaves one or the other. Used by one program at a time: what
    another one wrote meanwhile is not overwritten, but raises.
    """

    def __init__(self, path: Path, key: Secret, cost: Cost, salt: bytes, records: dict[str, bytes], text: bytes) -> None:
        self.path = path
        self._key = key
        self._cost = cost
        self._salt = salt
        self._records = records
        self._text = text

    @classmethod
    def create(cls, path: str | Path, passphrase: Passphrase) -> EncryptedFile:
        """Make a file with nothing in it, mode 0600.

        Raises `InvalidKey` for a passphrase of fewer than 12 characters, `NoSecret` where asking for it failed, `KeysError`
        where a file is there already or cannot be written, `MissingExtra` without cryptography.
        """
        if wrong := _not_asked(passphrase):
            del passphrase
            raise InvalidKey(wrong)
        _ciphers()
        path, salt = Path(path), os.urandom(16)
        made = cls(path, _derive(passphrase, COST, salt, new=True), COST, salt, {}, b"")
        made._text = made._sealed(made._records)
        _write(path, made._text, new=True)
        return made

    @classmethod
    def open(cls, path: str | Path, passphrase: Passphrase) -> EncryptedFile:
        """Open a file and check its seal. Takes about a third of a second and 128 MiB, on purpose.

        Raises `NoSecret` where no file is or asking for the passphrase failed; `Sealed` where group or world can read it, where
        it belongs to somebody else, and, as one error, where the passphrase is wrong or anything in it was changed;
        `MissingExtra` without cryptography.
        """
        if wrong := _not_asked(passphrase):
            del passphrase
            raise InvalidKey(wrong)
        _ciphers()
        path = Path(path)
        text = _read(path)
        cost, salt, records, seal = _parsed(path, text)
        opened = cls(path, _derive(passphrase, cost, salt), cost, salt, records, text)
        if opened._unlock(seal, opened._summary(records)) is None:
            opened.close()
            raise _shut(path)
        return opened

    @property
    def names(self) -> list[str]:
        """What is in it, sorted."""
        return sorted(self._records)

    def get(self, name: str) -> Secret:
        """Raises `NoSecret` where there is none, `KeysError` where the file was closed."""
        self._check_open()
        if secret_name(name) not in self._records:
            raise NoSecret(f"{self.path} has no {name}; it has {', '.join(self.names) or 'nothing'}")
        found = self._unlock(self._records[name], _bound(name))
        if found is None:
            raise _shut(self.path)
        return found

    def put(self, name: str, secret: Secret) -> None:
        """Keep a secret, in place of one of that name. It is on the disk when this returns.

        Raises `InvalidKey` for what is no name or no `Secret`, `KeysError` where the file was changed by another program, or
        cannot be written: then nothing has changed.
        """
        if wrong := _not_kept(secret):
            del secret
            raise InvalidKey(wrong)
        self._check_open()
        name = secret_name(name)
        self._keep({**self._records, name: self._lock(secret, _bound(name))})

    def remove(self, name: str) -> None:
        """Raises `NoSecret` where there is none, otherwise as `put` does."""
        self._check_open()
        if secret_name(name) not in self._records:
            raise NoSecret(f"{self.path} has no {name}")
        self._keep({one: sealed for one, sealed in self._records.items() if one != name})

    def change_passphrase(self, passphrase: Passphrase) -> None:
        """Seal everything anew under another passphrase. Raises as `create` and `put` do.

        Copies of the file from before still open with the old one.
        """
        if wrong := _not_asked(passphrase):
            del passphrase
            raise InvalidKey(wrong)
        self._check_open()
        salt = os.urandom(16)
        other = EncryptedFile(self.path, _derive(passphrase, COST, salt, new=True), COST, salt, {}, self._text)
        other._keep({name: other._lock(self.get(name), _bound(name)) for name in self._records})
        self.close()
        self._key, self._cost, self._salt, self._records, self._text = other._key, COST, salt, other._records, other._text

    def close(self) -> None:
        """Wipe the key. Closing again does nothing; secrets that were given out are yours."""
        self._key.wipe()

    def __enter__(self) -> EncryptedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EncryptedFile {self.path}, {'closed' if self._key.wiped else f'{len(self._records)} in it'}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise Unwritable("a file of keys is not pickled or copied: open it where it is needed")

    def _check_open(self) -> None:
        if self._key.wiped:
            raise KeysError(f"{self.path} was closed: open it again")

    def _lock(self, secret: Secret, bound: bytes) -> bytes:
        number = os.urandom(12)
        with self._key.reveal_bytes() as key, secret.reveal_bytes() as raw:
            return number + _ciphers()[1](key).encrypt(number, raw, bound)  # type: ignore[no-any-return]

    def _unlock(self, sealed: bytes, bound: bytes) -> Secret | None:
        """What was sealed; None where the key, the sealed bytes or what they are bound to are not the ones they were."""
        _, cipher, broken = _ciphers()
        with self._key.reveal_bytes() as key, suppress(broken):
            return Secret(cipher(key).decrypt(sealed[:12], sealed[12:], bound))
        return None

    def _summary(self, records: Mapping[str, bytes]) -> bytes:
        """What the seal of the whole is bound to."""
        return _bound("", sha256(_json(_terms(self._cost, self._salt, records))).digest())

    def _sealed(self, records: Mapping[str, bytes]) -> bytes:
        seal = self._lock(Secret(b"sealed"), self._summary(records))
        return _json({**_terms(self._cost, self._salt, records), "seal": b64encode(seal).decode()})

    def _keep(self, records: dict[str, bytes]) -> None:
        if _read(self.path) != self._text:
            raise KeysError(f"{self.path} was changed by another program since it was opened: open it again")
        text = self._sealed(records)
        _write(self.path, text)
        self._records, self._text = records, text


def _ciphers() -> tuple[Any, Any, Any]:
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError as error:
        raise MissingExtra("cryptography", "keys", "an encrypted file of keys") from error
    return Scrypt, AESGCM, InvalidTag


def _not_asked(passphrase: object) -> str:
    kind = type(passphrase).__name__
    return "" if callable(passphrase) else f"a passphrase comes from a callable that is asked for it, such as getpass.getpass, not {kind}"


def _derive(passphrase: Passphrase, cost: Cost, salt: bytes, *, new: bool = False) -> Secret:
    """The key of a file."""
    given = _asked(lambda: _plain(passphrase()), "what was asked for the passphrase")
    with given.reveal_bytes() as raw:
        if new and len(raw.decode("utf-8", "replace")) < LEAST_PASSPHRASE:
            raise InvalidKey(f"a passphrase has {LEAST_PASSPHRASE} characters or more: all else rests on it")
        return Secret(_ciphers()[0](salt=salt, length=32, n=cost.n, r=cost.r, p=cost.p).derive(raw))


def _plain(given: str | Secret) -> object:
    """The same letters give the same bytes, whichever keyboard they were typed on."""
    text = isinstance(given, str)
    try:
        return unicodedata.normalize("NFC", given) if text else given  # type: ignore[arg-type]
    finally:
        del given


def _bound(name: str, digest: bytes = b"") -> bytes:
    """What a sealed value is bound to: the format, its version, its name; the whole has no name, and a digest."""
    return f"{FORMAT}\0{VERSION}\0{name}\0".encode() + digest


def _terms(cost: Cost, salt: bytes, records: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "scrypt": {"n": cost.n, "r": cost.r, "p": cost.p, "salt": b64encode(salt).decode()},
        "secrets": {name: b64encode(records[name]).decode() for name in sorted(records)},
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _shut(path: Path) -> Sealed:
    return Sealed(f"{path} cannot be opened: the passphrase is wrong, or the file was changed")


def _parsed(path: Path, text: bytes) -> tuple[Cost, bytes, dict[str, bytes], bytes]:
    """The parts of a file, each of the right form; whether they are true only the seal says. Raises `Sealed`."""
    try:
        told = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _shut(path) from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise Sealed(f"{path} is no file of keys, or it was changed")
    if told.get("version") != VERSION or type(told["version"]) is not int:
        raise Sealed(f"{path} has another version of the format than {VERSION}, or it was changed")
    try:
        terms, secrets = told["scrypt"], told["secrets"]
        cost = Cost(terms["n"], terms["r"], terms["p"])
        parts = _unpacked(terms["salt"]), {secret_name(name): _unpacked(secrets[name]) for name in secrets}, _unpacked(told["seal"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _shut(path) from None
    if (
        not _sound(cost)
        or len(parts[0]) != 16
        or min(map(len, (parts[2], *parts[1].values()))) < 28
        or _json({**_terms(cost, *parts[:2]), "seal": b64encode(parts[2]).decode()}) != text
    ):
        raise _shut(path)
    return cost, *parts


def _sound(cost: Cost) -> bool:
    """No cheaper than is promised, and no dearer than a machine can bear; asked before anything is known to be true."""
    numbers = all(type(number) is int for number in (cost.n, cost.r, cost.p))
    return numbers and COST.n <= cost.n <= MOST_N and cost.n & (cost.n - 1) == 0 and (cost.r, cost.p) == (COST.r, COST.p)


def _unpacked(text: str) -> bytes:
    return b64decode(text, validate=True)


_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def _read(path: Path) -> bytes:
    """The whole file, where it is its owner's alone. What is checked is what is read."""
    try:
        file = os.open(path, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        raise NoSecret(f"there is no file {path}") from None
    except OSError as error:
        raise Sealed(f"{path} cannot be read: {error.strerror}") from error
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise Sealed(f"{path} is no file")
        if os.name == "posix" and about.st_mode & 0o077:
            raise Sealed(f"{path} has mode {stat.S_IMODE(about.st_mode):04o}: others may read or write it. Make it 0600, and new keys")
        if os.name == "posix" and about.st_uid not in (os.geteuid(), 0):
            raise Sealed(f"{path} belongs to another user")
        text = b""
        while len(text) <= MOST_BYTES and (more := os.read(file, MOST_BYTES)):
            text += more
    except OSError as error:
        raise Sealed(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(file)
    if len(text) > MOST_BYTES:
        raise Sealed(f"{path} is larger than {MOST_BYTES} bytes: it is no file of keys")
    return text


def _write(path: Path, text: bytes, *, new: bool = False) -> None:
    """Put a file in place, whole, readable to its owner alone; on the disk when this returns."""
    beside = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
        try:
            with os.fdopen(file, "wb") as out:
                out.write(text)
                out.flush()
                os.fsync(file)
            if new:
                os.link(beside, path)  # unlike a rename it never takes the place of a file
                beside.unlink()
            else:
                os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        _sync(path.parent)
    except FileExistsError:
        raise KeysError(f"{path} is there already: open it, or take another name") from None
    except OSError as error:
        raise KeysError(f"{path} cannot be written: {error.strerror}") from error


def _sync(folder: Path) -> None:
    if os.name == "posix":
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
