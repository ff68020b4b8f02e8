"""What it means that a transaction of ours did not do what it says: whose no it was, in words, and whether it may be different later.

The chain answers with the place of the instruction that failed and a number. The number is the program's own only where that
instruction called the program; the token program's 1 and ours are two things. It asks nobody and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from ...errors import VenueRejected
from .deployment import Deployment
from .faults import fault_of

__all__ = ["NO_BLOCKHASH", "ProgramSaidNo", "Verdict", "custom_of", "not_sent_on", "verdict_of"]

NO_BLOCKHASH = "BlockhashNotFound"
"""What a node says of a transaction that it takes for expired, or for too new: it was not sent on."""

_POOR = {
    "AccountNotFound": "the wallet holds 0 SOL, and a transaction costs at least 0.000005 SOL: pay SOL in to the key that signs",
    "InsufficientFundsForFee": "the wallet holds less SOL than the fee of the transaction: pay SOL in to the key that signs",
}
"""What the chain says before anything is run, where the one who pays for a transaction cannot."""


@frozen(order=False)
class Verdict:
    """Why a transaction failed: the program's own number (None: it was not the program), and a sentence for a journal."""

    code: int | None
    reason: str

    def __str__(self) -> str:
        return self.reason


class ProgramSaidNo(VenueRejected):
    """A run of a transaction, or its landing, failed. `err` is the chain's own JSON, `verdict` what it means. Nothing was moved."""

    def __init__(self, verdict: Verdict, err: Any) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict
        self.err = err


def custom_of(err: Any) -> tuple[int, int] | None:
    """The place of the instruction and the number of a program's own error; None for any other."""
    if isinstance(err, dict):
        told = err.get("InstructionError")
        if isinstance(told, list) and len(told) == 2 and type(told[0]) is int and isinstance(told[1], dict):
            number = told[1].get("Custom")
            return (told[0], number) if type(number) is int else None
    return None


def verdict_of(deployment: Deployment, err: Any, programs: Sequence[str], logs: Sequence[str] = ()) -> Verdict:
    """What an error of the chain means. `programs` are those that the transaction's instructions call, in order.

    The reason ends with the last words of the program's own log, which name the figures that it compared.
    """
    found = custom_of(err)
    said = _said(logs)
    if found is None:
        return Verdict(None, f"{_POOR[err]} ({err})" if isinstance(err, str) and err in _POOR else f"the chain says {err}{said}")
    place, number = found
    if not 0 <= place < len(programs) or programs[place] != deployment.program_id:
        whose = programs[place] if 0 <= place < len(programs) else f"of instruction {place}"
        return Verdict(None, f"the program {whose} says {number}{said}")
    fault = fault_of(deployment, number)
    return Verdict(number, f"{number}{said}" if fault is None else f"{fault.name} ({number}): {fault.meaning}{said}")


def not_sent_on(error: Exception) -> bool:
    """Whether a node refused a transaction for its blockhash alone: it may be made again."""
    return getattr(error, "err", None) == NO_BLOCKHASH or NO_BLOCKHASH in str(error)


def _said(logs: Sequence[str]) -> str:
    """The last plain line that a program wrote, without what is only frame."""
    for line in reversed(logs):
        text = line.removeprefix("Program log: ")
        if text != line and not text.startswith(("Instruction:", "AnchorError")) and text.isprintable() and " " in text:
            return f" ({text[:160]})"
    return ""
