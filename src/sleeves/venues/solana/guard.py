"""What is looked at before a key signs: every instruction of a transaction, and what it would move. What is not understood is refused.

A transaction may come from anywhere: built here, or by an API. It is signed only if

- it is read whole, its lookup tables resolved; our wallet pays its fee and is the only one that signs;
- each instruction calls a program that is allowed, and says something that is understood: System, the token programs, associated
  accounts, compute budget and memos by the rules below, a named program by its own rule;
- nothing leaves but to a known place and within a cap: fees, tips, and payments to named payees;
- a run of it, before it is signed, moves no more out of our accounts, and no less into them, than was agreed, leaves nobody
  else a hold on them, and no more rent than was agreed in new ones.

Allowed of what could move money: SOL to our own wrapped account, to a tip account, to a payee; tokens to our own account or a
payee's, the mint named; an account's closing into our own wallet; the creation of our own or a payee's associated account.
Refused always: any power over an account for others (approve, a new authority), burning, freezing, and nonces, since with one
a transaction never expires.

What is trusted. The node that runs it: one that lies about the run and about lookup tables hides what a named program would do.
The named programs: between the run and the block they can act differently, so name only what you would trust with one swap. What
they own they may change, whatever it says of us; and what is ours without our address in it is not known here: an account of the
System program derived from our wallet and a seed, a position that a token stands for. It asks nobody itself, and it knows no market.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import field, frozen
from solders.pubkey import Pubkey

from ...errors import VenueRejected
from .addresses import ATA, COMPUTE_BUDGET, JUPITER, MEMO, MEMO_V1, SYSTEM, TOKEN, TOKEN_2022, WSOL
from .rpc import Accounts, Simulation
from .tokens import Account, TokenAccount, ata
from .transaction import Decoded, Instruction, Refused, Tables, read_transaction

__all__ = ["Cleared", "Examined", "Guard", "Refused", "Rule", "Spending"]

PER_SIGNATURE = 5_000
"""Lamports of fee for a signature."""
MOST_UNITS = 1_400_000
UNITS_EACH = 200_000
"""What the chain counts for an instruction where a transaction names no limit; of some kinds it counts less."""
_MICRO = 1_000_000

Rule = Callable[[Instruction, Decoded], "str | None"]
"""A look at one instruction of a named program: why it is refused, or None."""

_NONCES = {
    4: "AdvanceNonceAccount",
    5: "WithdrawNonceAccount",
    6: "InitializeNonceAccount",
    7: "AuthorizeNonceAccount",
    12: "UpgradeNonceAccount",
}
_SYSTEM = {
    0: "CreateAccount",
    1: "Assign",
    3: "CreateAccountWithSeed",
    8: "Allocate",
    9: "AllocateWithSeed",
    10: "AssignWithSeed",
    11: "TransferWithSeed",
}
_TOKEN = {
    3: "Transfer",
    4: "Approve",
    6: "SetAuthority",
    7: "MintTo",
    8: "Burn",
    10: "FreezeAccount",
    11: "ThawAccount",
    13: "ApproveChecked",
    14: "MintToChecked",
    15: "BurnChecked",
}


def _amounts(name: str) -> Any:
    def check(_: object, __: object, value: Mapping[Pubkey, int]) -> None:
        for mint, amount in value.items():
            if not isinstance(mint, Pubkey) or type(amount) is not int or amount < 0:
                raise VenueRejected(f"{name} of a spending is whole raw units by mint, not {amount!r} of {mint!r}")

    return check


def _lamports(_: object, attribute: Any, value: object) -> None:
    if type(value) is not int or value < 0:
        raise VenueRejected(f"{attribute.name} {value!r} of a spending must be whole lamports from 0 on")


def _lamports_or_none(spending: object, attribute: Any, value: object) -> None:
    if value is not None:
        _lamports(spending, attribute, value)


@frozen(order=False)
class Spending:
    """The most that one transaction may take from us, and the least that it must bring, in raw units by mint.

    SOL that is traded stands under the mint of wrapped SOL, whether it is wrapped or not. `lamports` is what may leave besides it,
    for good: fee, tip, rent of others' accounts. The rent of our own accounts stays ours and is not counted; `rent` caps what lies in
    new ones for other mints than those named here and wrapped SOL, None does not. `fee` caps what goes to validators for signature
    and priority, `tip` what goes to tip accounts. Raises `VenueRejected` for what is no whole number from 0 on.
    """

    most_out: Mapping[Pubkey, int] = field(factory=dict, validator=_amounts("most_out"))
    least_in: Mapping[Pubkey, int] = field(factory=dict, validator=_amounts("least_in"))
    lamports: int = field(default=0, validator=_lamports)
    fee: int = field(default=0, validator=_lamports)
    tip: int = field(default=0, validator=_lamports)
    rent: int | None = field(default=None, validator=_lamports_or_none)


class _Seal:
    """Put by a guard under what it makes, once: a copy with anything changed in it has none."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used = False

    def put(self) -> bool:
        """Whether it is put for the first time."""
        fresh, self._used = not self._used, True
        return fresh


@frozen(order=False)
class Examined:
    """A transaction whose every instruction is understood and allowed. It has not been run yet. Made by `Guard.examine` alone."""

    decoded: Decoded
    spending: Spending
    fee: int
    tip: int
    named: frozenset[Pubkey]
    """The programs with rules of their own that it calls."""
    _seal: object = field(repr=False, eq=False, default=None)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self._seal, _Seal) or not self._seal.put():
            object.__setattr__(self, "_seal", None)

    @property
    def watched(self) -> tuple[Pubkey, ...]:
        """The accounts that it can change: what must be read before the run, and after it."""
        return self.decoded.writable


@frozen(order=False)
class Cleared:
    """A transaction that may be signed: examined, run, and within its spending. Made by `Guard.clear` alone."""

    decoded: Decoded
    owner: Pubkey = field(repr=str)
    fee: int
    tip: int
    moved: Mapping[Pubkey, int] = field(repr=False)
    """What the run moved, in raw units by mint; SOL in all its forms, fees in it, under the mint of wrapped SOL."""
    _seal: object = field(repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self._seal, _Seal) or not self._seal.put():
            raise VenueRejected("a transaction is cleared by Guard.clear, and by nothing else")


@frozen(order=False)
class _Tally:
    """What the instructions so far send away."""

    tips: list[int] = field(factory=list)
    paid: dict[Pubkey, int] = field(factory=dict)

    def pay(self, mint: Pubkey, amount: int) -> None:
        self.paid[mint] = self.paid.get(mint, 0) + amount


class Guard:
    """The rules of one wallet. `owner` is its address.

    `programs` are those that may be called besides the chain's own, each with a rule or with None, where the run alone decides.
    `tip_accounts` may be sent tips; `payees` are wallets that may be paid, such as another wallet of the same owner. An account
    that a named program owns may be changed by it, whatever it says of us; a token account of ours only as agreed.
    Raises `VenueRejected` for a program that has rules here already.
    """

    def __init__(
        self,
        owner: Pubkey,
        *,
        programs: Mapping[Pubkey, Rule | None] | None = None,
        tip_accounts: Collection[Pubkey] = (),
        payees: Collection[Pubkey] = (),
    ) -> None:
        self.owner = owner
        self.programs: dict[Pubkey, Rule | None] = {JUPITER: None} if programs is None else dict(programs)
        self.tip_accounts = frozenset(tip_accounts)
        self.payees = frozenset(payees)
        self._money: dict[Pubkey, Callable[[Instruction, _Tally], None]] = {
            SYSTEM: self._system,
            TOKEN: self._token,
            TOKEN_2022: self._token,
        }
        self._harmless: dict[Pubkey, Callable[[Instruction], None]] = {ATA: self._associated, MEMO: self._memo, MEMO_V1: self._memo}
        for program in self.programs:
            if program in (*self._money, *self._harmless, COMPUTE_BUDGET):
                raise VenueRejected(f"{program} has rules of its own and cannot be named")

    # -- before the run -------------------------------------------------------------------------------------------------------

    def examine(self, raw: bytes, tables: Tables, spending: Spending) -> Examined:
        """Read a transaction and look at each instruction. Raises `Refused`, whose `rule` names what it breaks."""
        decoded = read_transaction(raw, tables)
        self._frame(decoded)
        tally = _Tally()
        for one in decoded.instructions:
            if one.program.by_table:
                raise Refused("program", f"instruction {one.place} takes its program from a lookup table")
            program = one.program.address
            if program in self._money:
                self._money[program](one, tally)
            elif program in self._harmless:
                self._harmless[program](one)
            elif program in self.programs:
                rule = self.programs[program]
                why = rule(one, decoded) if rule is not None else None
                if why is not None:
                    raise Refused("rule", f"instruction {one.place}, {program}: {why}")
            elif program != COMPUTE_BUDGET:
                raise Refused("program", f"instruction {one.place} calls {program}, which is not allowed")
        fee = PER_SIGNATURE + _priority(decoded)
        self._caps(fee, tally, spending)
        named = frozenset(one.program.address for one in decoded.instructions) & set(self.programs)
        return Examined(decoded, spending, fee, sum(tally.tips), named, seal=_Seal())

    def _frame(self, decoded: Decoded) -> None:
        """Who pays and who signs."""
        if decoded.payer != self.owner:
            raise Refused("payer", f"{decoded.payer} pays its fee, not our wallet {self.owner}")
        if decoded.signers != (self.owner,):
            others = ", ".join(str(one) for one in decoded.signers if one != self.owner)
            raise Refused("signers", f"it is signed by others too: {others}")
        if len(decoded.signatures) != 1:
            raise Refused("signers", f"it has {len(decoded.signatures)} signatures for one signer")
        if not decoded.instructions:
            raise Refused("unreadable", "it has no instructions")

    def _caps(self, fee: int, tally: _Tally, spending: Spending) -> None:
        """What it says that it sends away, against what may leave."""
        if fee > spending.fee:
            raise Refused("fee", f"its fee is {fee} lamports; at most {spending.fee} may be paid")
        tip = sum(tally.tips)
        if tip > spending.tip:
            raise Refused("tip", f"it tips {tip} lamports; at most {spending.tip} may be")
        for mint, amount in tally.paid.items():
            most = spending.most_out.get(mint, 0)
            if amount > most:
                raise Refused("cap", f"it pays {amount} of {mint}; at most {most} may leave")
        if fee + tip > spending.lamports:
            raise Refused("lamports", f"fee and tip are {fee + tip} lamports; at most {spending.lamports} may leave besides what is traded")

    def _system(self, one: Instruction, tally: _Tally) -> None:
        kind = int.from_bytes(one.data[:4], "little") if len(one.data) >= 4 else -1
        if kind in _NONCES:
            raise Refused("nonce", f"instruction {one.place} is {_NONCES[kind]}: with a durable nonce a transaction never expires")
        if kind != 2 or len(one.data) != 12 or len(one.accounts) != 2:
            raise Refused("system", f"instruction {one.place}: {_SYSTEM.get(kind, f'kind {kind}')} of the System program is not allowed")
        source, to = one.accounts[0], one.accounts[1]
        amount = int.from_bytes(one.data[4:], "little")
        if source.address != self.owner:
            raise Refused("system", f"instruction {one.place} moves SOL of {source.address}, which is not our wallet")
        if to.address in (self.owner, ata(self.owner, WSOL)):
            return
        if to.address in self.tip_accounts:
            if to.by_table:
                raise Refused("tip", f"instruction {one.place} takes the tip account from a lookup table: such a tip is not seen")
            tally.tips.append(amount)
            return
        if to.address not in self.payees:
            raise Refused("transfer", f"instruction {one.place} sends {amount} lamports to {to.address}, which is no payee")
        tally.pay(WSOL, amount)

    def _token(self, one: Instruction, tally: _Tally) -> None:
        kind = one.data[0] if one.data else -1
        what = f"instruction {one.place}"
        keys = [key.address for key in one.accounts]
        if kind == 12 and len(one.data) == 10:  # TransferChecked
            if len(keys) != 4 or keys[3] != self.owner:
                raise Refused("token", f"{what} moves tokens by the signature of another")
            self._sent(what, one.program.address, keys[1], keys[2], int.from_bytes(one.data[1:9], "little"), tally)
        elif kind == 9 and len(one.data) == 1:  # CloseAccount
            if len(keys) != 3 or keys[2] != self.owner or keys[1] != self.owner:
                raise Refused("close", f"{what} closes a token account, and its lamports do not come to our wallet")
        elif kind == 5 and len(one.data) == 1 and len(keys) == 2:  # Revoke
            if keys[1] != self.owner:
                raise Refused("token", f"{what} revokes by the signature of another")
        elif not (kind == 17 and len(one.data) == 1 and len(keys) == 1):  # SyncNative
            rule = {4: "approve", 13: "approve", 6: "authority", 8: "burn", 15: "burn"}.get(kind, "token")
            raise Refused(rule, f"{what}: {_TOKEN.get(kind, f'kind {kind}')} of the token program is not allowed")

    def _sent(self, what: str, program: Pubkey, mint: Pubkey, to: Pubkey, amount: int, tally: _Tally) -> None:
        if to == ata(self.owner, mint, program):
            return
        if to not in self.payees and not any(to == ata(payee, mint, program) for payee in self.payees):
            raise Refused("transfer", f"{what} sends {amount} of {mint} to {to}, which is no payee's")
        tally.pay(mint, amount)

    def _associated(self, one: Instruction) -> None:
        what = f"instruction {one.place}"
        if one.data not in (b"", b"\0", b"\1") or len(one.accounts) not in (6, 7):
            raise Refused("associated", f"{what} of the Associated Token Account program does not create one")
        payer, made, wallet, mint, _, program = (key.address for key in one.accounts[:6])
        if payer != self.owner or program not in (TOKEN, TOKEN_2022) or made != ata(wallet, mint, program):
            raise Refused("associated", f"{what} creates {made}, which is not the account of {wallet} for {mint}, or is paid by another")
        if wallet != self.owner and wallet not in self.payees:
            raise Refused("associated", f"{what} has us pay for an account of {wallet}, who is no payee")

    def _memo(self, one: Instruction) -> None:
        if any(key.address != self.owner for key in one.accounts):
            raise Refused("memo", f"instruction {one.place} is a memo of another")

    # -- after the run --------------------------------------------------------------------------------------------------------

    def clear(self, examined: Examined, simulation: Simulation, before: Accounts) -> Cleared:
        """Hold what the run did against the spending. `before` and the run's accounts are those of `examined.watched`, in order.

        Raises `Refused`: for a run that failed, for more out or less in than agreed, and for any hold on our accounts that it
        leaves to others.
        """
        if examined._seal is None or examined.decoded.payer != self.owner:
            raise Refused("unexamined", "this transaction was not examined by this wallet's guard")
        if simulation.err is not None:
            told = next((line for line in reversed(simulation.logs) if "failed" in line or "Error" in line), "")
            raise Refused("simulation", f"it would fail: {simulation.err} {told}".rstrip())
        watched = examined.watched
        if not len(simulation.accounts) == len(before.values) == len(watched):
            raise Refused("simulation", f"{len(simulation.accounts)} accounts came back for {len(watched)}")
        moved: dict[Pubkey, int] = {}
        for key, old, new in zip(watched, before.values, simulation.accounts, strict=True):
            for mint, amount in self._change(key, old, new, examined.named):
                moved[mint] = moved.get(mint, 0) + amount
        spending = examined.spending
        rent = sum(self._rent(old, new, spending) for old, new in zip(before.values, simulation.accounts, strict=True))
        if spending.rent is not None and rent > spending.rent:
            raise Refused("rent", f"it leaves {rent} lamports in new token accounts of what is not traded; at most {spending.rent} may be")
        for mint in {*moved, *spending.least_in}:
            least = spending.least_in.get(mint, 0) - spending.most_out.get(mint, 0) - (spending.lamports if mint == WSOL else 0)
            if moved.get(mint, 0) < least:
                raise Refused("spending", f"the run moves {moved.get(mint, 0)} of {_shown(mint)}; no less than {least} was agreed")
        return Cleared(examined.decoded, self.owner, examined.fee, examined.tip, moved, _Seal())

    def _change(self, key: Pubkey, old: Account | None, new: Account | None, named: frozenset[Pubkey]) -> list[tuple[Pubkey, int]]:
        """What one account's change is to us, by mint. Raises `Refused` for what must not change."""
        if key == self.owner:
            return self._wallet(old, new)
        had, has = TokenAccount.find(old), TokenAccount.find(new)
        had = had if had is not None and had.owner == self.owner else None
        if had is not None or (has is not None and has.owner == self.owner):
            return self._tokens(key, had, has, new)
        ours = old is not None and bytes(self.owner) in old.data and not _same(old, new)
        if ours and old is not None and (old.owner not in named or new is None or new.owner != old.owner):
            raise Refused("account", f"it changes {key} of {old.owner}, in which our wallet stands")
        return []

    def _rent(self, old: Account | None, new: Account | None, spending: Spending) -> int:
        """What lies in a token account of ours that was not there, of what is not traded."""
        has = TokenAccount.find(new)
        if has is None or has.owner != self.owner or has.mint in (WSOL, *spending.most_out, *spending.least_in):
            return 0
        return 0 if TokenAccount.find(old) is not None else has.lamports - (old.lamports if old else 0)

    def _wallet(self, old: Account | None, new: Account | None) -> list[tuple[Pubkey, int]]:
        if new is not None and (new.owner != SYSTEM or new.data):
            raise Refused("wallet", f"it hands our wallet to {new.owner}")
        return [(WSOL, (new.lamports if new else 0) - (old.lamports if old else 0))]

    def _tokens(self, key: Pubkey, had: TokenAccount | None, has: TokenAccount | None, new: Account | None) -> list[tuple[Pubkey, int]]:
        """A token account of ours, before or after."""
        if has is None and new is not None and new.lamports:
            raise Refused("account", f"it makes something else of our token account {key}")
        if has is not None:
            if has.owner != self.owner:
                raise Refused("authority", f"it gives our token account {key} to {has.owner}")
            if has.close_authority not in (None, self.owner) and (had is None or had.close_authority != has.close_authority):
                raise Refused("authority", f"it lets {has.close_authority} close our token account {key}")
            if has.delegate is not None and (had is None or had.delegate != has.delegate or has.delegated > had.delegated):
                raise Refused("approve", f"it lets {has.delegate} move {has.delegated} of {has.mint} of ours")
            if has.frozen and (had is None or not had.frozen):
                raise Refused("account", f"it freezes our token account {key}")
        moved: list[tuple[Pubkey, int]] = []
        for held, sign in ((had, -1), (has, 1)):
            if held is not None:
                moved.append((WSOL, sign * held.lamports))
                if held.mint != WSOL:
                    moved.append((held.mint, sign * held.amount))
        return moved


def _priority(decoded: Decoded) -> int:
    """The most that is paid for priority, in lamports. Raises `Refused` for what the chain does not take either."""
    limit: int | None = None
    price: int | None = None
    others = 0
    for one in decoded.instructions:
        if one.program.address != COMPUTE_BUDGET:
            others += 1
            continue
        kind, rest = (one.data[0], one.data[1:]) if one.data else (-1, b"")
        if kind == 2 and len(rest) == 4 and limit is None:
            limit = int.from_bytes(rest, "little")
        elif kind == 3 and len(rest) == 8 and price is None:
            price = int.from_bytes(rest, "little")
        elif kind not in (1, 4) or len(rest) != 4:
            raise Refused("compute", f"instruction {one.place} of the Compute Budget program is not understood, or says a thing twice")
    units = min(MOST_UNITS, UNITS_EACH * others if limit is None else limit)
    return -(-(price or 0) * units // _MICRO)


def _same(old: Account, new: Account | None) -> bool:
    return new is not None and (old.lamports, old.owner, old.data) == (new.lamports, new.owner, new.data)


def _shown(mint: Pubkey) -> str:
    return "SOL" if mint == WSOL else str(mint)
