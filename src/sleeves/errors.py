"""Everything that `sleeves` raises, as one tree.

Misuse is raised; business is returned. A refused order is a `Refusal`, a venue's no is a `Rejected` event, a residual
is a line of a report: values with a reason. What stands here is for a caller who asked for something that cannot be,
and for a world that did not answer. Each class says which side erred.

    SleevesError
      InvalidAmount           (ValueError)   a number that is not an exact amount: NaN, infinity, a float, too many digits
        quoting.InvalidQuoting               parameters or figures that cannot be quoted by; `.rule` names the rule
      AssetMismatch           (TypeError)    arithmetic or comparison across two assets
      InvalidMarket           (ValueError)   an instrument, a price, a quantity or an order that cannot exist
      BadTape                 (ValueError)   a market data file or column that cannot be trusted; names the row
      BadHistory              (ValueError)   an export, a list or a rule about the past that cannot be trusted; names the row
      LedgerError                            an entry that the books refuse; nothing was posted
        Unbalanced                           its postings do not sum to zero in some asset
        Overdraft                            a command would take an account below zero
        IsolationBreach                      it touches the money of two sleeves
      VaultError              (ValueError)   a request to a vault that its rules refuse; nothing has changed
        NotEnough                            more was asked for than is free; `.free` says how much is
        WrongStatus                          the status table has no such move from here
        shares.ShareError                    the terms of a pool refuse it; `.rule` names the rule
      JournalError                           a journal that cannot be trusted
      EngineFault                            an engine raised; `__cause__` holds its own error
      MissingExtra            (ImportError)  an optional package is not installed; says which extra brings it
      VenueError                             the other side of the wire
        VenueRejected                        the venue understood and said no: nothing was done there
        VenueUnavailable                     the venue was not reached: nothing was done there
          keys.NoKey                         no key is left for an operation; `sleeves.keys` has the rest of its tree
        VenueUnknown                         it was sent and the answer is lost: it may have been done
      alerts.NotifyFailed                    a notifier could not hand a notice on
"""

from __future__ import annotations

__all__ = [
    "AssetMismatch",
    "BadHistory",
    "BadTape",
    "EngineFault",
    "InvalidAmount",
    "InvalidMarket",
    "IsolationBreach",
    "JournalError",
    "LedgerError",
    "MissingExtra",
    "NotEnough",
    "Overdraft",
    "SleevesError",
    "Unbalanced",
    "VaultError",
    "VenueError",
    "VenueRejected",
    "VenueUnavailable",
    "VenueUnknown",
    "WrongStatus",
]


class SleevesError(Exception):
    """The root: catch this to catch all that this library raises on purpose."""


class InvalidAmount(SleevesError, ValueError):
    """A value that is not an exact, finite amount of an asset."""


class AssetMismatch(SleevesError, TypeError):
    """Two assets met where only one may be."""


class InvalidMarket(SleevesError, ValueError):
    """An instrument, price, quantity or order that cannot exist on the market."""


class BadTape(SleevesError, ValueError):
    """Market data that cannot be trusted. `row` is the 1-based data row, or None when the whole file is meant."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message if row is None else f"row {row}: {message}")
        self.row = row


class BadHistory(SleevesError, ValueError):
    """A file, a list or a rule about the past that cannot be taken as it stands.

    `source` names the file or list, `row` is the 1-based data row in it; empty and None when something else is meant.
    """

    def __init__(self, message: str, source: str = "", row: int | None = None) -> None:
        place = f"{source}, row {row}" if row is not None else source
        super().__init__(f"{place}: {message}" if place else message)
        self.source = source
        self.row = row


class LedgerError(SleevesError):
    """The books refuse an entry. Nothing of it was posted."""


class Unbalanced(LedgerError):
    """The postings of an entry do not sum to zero in some asset."""


class Overdraft(LedgerError):
    """A command would take a guarded account below zero."""


class IsolationBreach(LedgerError):
    """An entry touches accounts of two sleeves."""


class VaultError(SleevesError, ValueError):
    """A vault's rules refuse a request. Nothing has changed."""


class NotEnough(VaultError):
    """More was asked for than is free. `free` is an `Amount` in the error's asset."""

    def __init__(self, message: str, free: object) -> None:
        super().__init__(message)
        self.free = free


class WrongStatus(VaultError):
    """The status table has no such move from the present status."""


class JournalError(SleevesError):
    """A journal is broken, tampered with, or written by a version that this one cannot read."""


class EngineFault(SleevesError):
    """An engine raised while it decided. Its own error is the cause."""


class MissingExtra(SleevesError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}: python -m pip install "sleeves[{extra}]", or ".[{extra}]" in a clone')


class VenueError(SleevesError):
    """Something went wrong at, or on the way to, a venue."""


class VenueRejected(VenueError):
    """The venue understood and refused. Nothing was done there."""


class VenueUnavailable(VenueError):
    """The venue was not reached. Nothing was done there."""


class VenueUnknown(VenueError):
    """The request was sent and its answer is lost. It may have been done; look before you act."""
