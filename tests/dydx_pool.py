"""Runs dYdX's table cases of its megavault on a real `Megavault` over real books. The cases are no part of this project.

Each `run_<area>` takes one case of `dydx/<area>.json`, or of the same layout, and raises `AssertionError` where the library
does not come to what the case says. `House` puts the state that a case begins with into the ledger: a chain's account that is
short of money and long of contracts is a sleeve whose contracts have not settled.

What is the chain's own is done here: who may send a message, the bounds of a 64-bit number, which markets exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from dydx_quoting import own_params, params_of, same
from sleeves.books import Books
from sleeves.errors import VaultError
from sleeves.ledger import Account, Entry, EntryKind, Posting, Role
from sleeves.market import Instrument, Kind, Mark, Perpetual
from sleeves.megavault import Megavault
from sleeves.money import Amount, Asset, decimal_text
from sleeves.policy import QUIET
from sleeves.quoting import InvalidQuoting
from sleeves.shares import ShareError, Terms
from sleeves.sleeve import Sleeve
from sleeves.status import Status
from sleeves.vault import CoreVault

Case = Mapping[str, Any]

USDC = Asset("USDC", 6)
WORLD = Account("world", Role.WORLD)
PLENTY = 2**70
"""Coins that a sub-vault has free; what its account lacks of them is owed to the venue."""
STATUS = {
    "deactivated": Status.DEACTIVATED,
    "stand_by": Status.STAND_BY,
    "quoting": Status.ACTIVE,
    "close_only": Status.CLOSE_ONLY,
}
ERRORS = {
    "amount": "ErrInvalidQuoteQuantums",
    "equity": "ErrNonPositiveEquity",
    "zero_shares": "ErrZeroSharesToMint",
    "shares": "ErrInvalidSharesToWithdraw",
    "owner": "ErrOwnerNotFound",
    "locked": "ErrInsufficientWithdrawableShares",
    "least": "ErrInsufficientRedeemedQuoteQuantums",
    "status": "ErrUnspecifiedVaultStatus",
    "positive": "ErrDeactivatePositiveEquityVault",
}
"""Our rules in the chain's words."""
LOCK_ERRORS = {**ERRORS, "lock": "invalid parameters", "name": "invalid parameters", "locked": "ErrLockedSharesExceedsOwnerShares"}


def refusal(act: Callable[[], object], words: Mapping[str, str] = ERRORS) -> str | None:
    """The chain's word for what an act is refused for; None where it is not."""
    try:
        act()
    except ShareError as refused:
        return words.get(refused.rule, refused.rule)
    return None


class House:
    """A pool by the chain's rules, in the state that a case begins with."""

    def __init__(self, main: int = 0, shares: Mapping[str, int] | None = None, default: Mapping[str, Any] | None = None) -> None:
        self.core = CoreVault(USDC, total=0, books=Books(), at=1)
        self.pool = Megavault(self.core, terms=Terms.chain(), marks=lambda: self.marks, at=1)
        self.marks: dict[str, Mark] = {}
        self.inventory: dict[str, int] = {}
        idle, limit, memo = (Account(self.core.owner, role) for role in (Role.IDLE, Role.TRADEABLE, Role.MEMO))
        self.post(Posting(idle, USDC, main), Posting(WORLD, USDC, -main))
        self.post(Posting(limit, USDC, max(0, main)), Posting(memo, USDC, -max(0, main)))
        for owner, number in (shares or {}).items():
            held, issued = Account(f"investor:{owner}", Role.SHARES), Account(self.pool.owner, Role.ISSUED)
            self.post(Posting(held, self.pool.share, number), Posting(issued, self.pool.share, -number))
        if default is not None:
            self.pool.set_quoting(params_of(default), at=1)

    def post(self, *postings: Posting) -> None:
        moved = tuple(one for one in postings if one.units)
        if moved:
            self.core.books.post(Entry(1, EntryKind.ADJUST, "case", moved))

    def sub_vault(self, number: int, status: str, money: int, base: int = 0, market: Mapping[str, Any] | None = None) -> Sleeve:
        """A sub-vault as the chain has it: so much quote money (below zero: owed), so many contracts."""
        name = f"clob-{number}"
        sleeve = self.core.sleeve(name, QUIET, at=1)
        free, owed = Account(name, Role.FREE), Account(name, Role.UNSETTLED, f"P{number}-PERP")
        self.post(Posting(free, USDC, PLENTY), Posting(owed, USDC, money - PLENTY), Posting(WORLD, USDC, -money))
        self.inventory[name] = base
        if market is not None:
            self._list(sleeve, number, base, market)
        sleeve._status = STATUS[status]
        return sleeve

    def _list(self, sleeve: Sleeve, number: int, base: int, market: Mapping[str, Any]) -> None:
        perpetual, oracle = market["perpetual"], market["market"]
        tier, exponent = perpetual["liquidity_tier"], int(oracle["exponent"])
        initial = int(tier["initial_margin_ppm"])
        coin = Asset(f"P{number}", -int(perpetual["atomic_resolution"]))
        tick = format(Decimal(1).scaleb(exponent), "f")
        lot = format(Decimal(1).scaleb(-coin.scale), "f")
        contract = Perpetual(initial_bp=10_000, maintenance_bp=1_000)
        instrument = Instrument(f"P{number}-PERP", base=coin, quote=USDC, tick=tick, lot=lot, kind=Kind.PERP, contract=contract)
        self.core.books.know(instrument)
        price = int(oracle["price"]) * 10 ** max(0, exponent)
        if price > 0:
            self.marks[instrument.symbol] = Mark(instrument, 1, price)
        has, other = (Account(sleeve.name, role, instrument.symbol) for role in (Role.CONTRACTS, Role.TRADING))
        self.post(Posting(has, coin, base), Posting(other, coin, -base))
        step = int(oracle["min_price_change_ppm"])
        self.pool.set_market(sleeve.name, initial=f"{decimal_text(initial, 4)}%", step=f"{decimal_text(step, 4)}%", at=1)

    def worth(self, number: int) -> int:
        """The equity of a sub-vault."""
        (one,) = [one for one in self.pool.sub_vaults(at=1) if one.name == f"clob-{number}"]
        assert one.worth is not None and one.worth.denominator == 1, one
        return int(one.worth)

    def money(self, number: int) -> int:
        """The quote money of a sub-vault, its contracts aside."""
        return self.core.sleeves[f"clob-{number}"].balance_units()


def market_of(case: Case, number: int) -> Mapping[str, Any] | None:
    return next((one for one in case.get("markets", ()) if int(one["clob_pair"]["id"]) == number), None)


# -- shares -----------------------------------------------------------------------------------------------------------------


def run_mint_shares(case: Case) -> None:
    own, total, owner = int(case["owner_shares"] or 0), int(case["total_shares"]), case["owner"]
    house = House(int(case["equity"]), {owner: own, "others": total - own})
    expected = case["expected"]
    found = refusal(lambda: house.pool.deposit(owner, Amount(int(case["quantums_to_deposit"]), USDC), at=2))
    same(found, expected.get("error"), "error")
    minted = int(expected.get("minted_shares", 0))
    same(house.pool.total - total, minted, "minted")
    same(house.pool.total, int(expected.get("total_shares", total)), "total")
    same(house.pool.shares(owner), int(expected.get("owner_shares", own)), "owner")


def run_deposit(case: Case) -> None:
    house, purses = House(), {(one["owner"], int(one["number"])): int(one["quote_quantums"]) for one in case["balances"]}
    for number, one in enumerate(case["deposits"]):
        expected, units = one["expected"], int(one["quote_quantums"])
        payer = (one["depositor"]["owner"], int(one["depositor"]["number"]))
        if not 0 < units < 2**64 or one["signer"] != payer[0]:
            found = "validate"  # the chain's own: who signs, and what fits into 64 bits
        elif units > purses.get(payer, 0):
            found = "execute"
        else:
            found = None if refusal(lambda: house.pool.deposit(payer[0], Amount(units, USDC), at=2)) is None else "execute"  # noqa: B023
        same(found, expected["fails_at"], f"deposit {number} fails at")
        if found is None:
            purses[payer] -= units
        for what, there in (
            ("owner_shares", house.pool.shares(payer[0])),
            ("total_shares", house.pool.total),
            ("megavault_equity", house.pool.equity(at=2)),
        ):
            if what in expected:
                same(there, int(expected[what]), f"{what} after deposit {number}")


def run_owner_equity(case: Case) -> None:
    own, total = int(case["owner_shares"]), int(case["total_shares"])
    house = House(int(case["megavault_equity"]), {case["owner"]: own, "others": total - own})
    bind(house, case["owner"], case["unlocks"])
    expected = case["expected"]
    if case["query_owner"] is None:
        assert "error" in expected  # an empty request is the chain's own
        return
    try:
        found = house.pool.holding(case["query_owner"], at=1)
    except ShareError as refused:
        same({"owner": "owner not found"}.get(refused.rule), expected.get("error"), "error")
        return
    assert "error" not in expected, f"no error, expected {expected['error']!r}"
    same(found.worth.units, int(expected["owner_equity"]), "owner equity")
    same(found.withdrawable.units, int(expected["owner_withdrawable_equity"]), "withdrawable")


def bind(house: House, owner: str, unlocks: Any) -> None:
    for one in unlocks or ():
        if int(one["shares"]):
            house.pool.lock(owner, int(one["shares"]), int(one["unlock_block_height"]), now=-1, clock="height", at=1)


def bound(house: House, owner: str) -> list[dict[str, Any]] | None:
    return [{"shares": str(one.shares), "unlock_block_height": one.til} for one in house.pool.locks(owner)] or None


def run_lock_shares(case: Case) -> None:
    owner = case["owner"]
    house = House(100, {owner: int(case["owner_shares"])} if owner else {})
    bind(house, owner, case["existing_unlocks"])
    before, expected, til = bound(house, owner), case["expected"], int(case["lock_until_block"])
    now = int(case["current_block_height"])
    found = refusal(lambda: house.pool.lock(owner, int(case["shares_to_lock"]), til, now=now, clock="height", at=2), LOCK_ERRORS)
    same(found, expected.get("error"), "error")
    same(bound(house, owner), expected.get("unlocks", before), "locks")
    if "scheduled_unlock_message_height" in expected:
        same(house.pool.locks(owner)[-1].til, int(expected["scheduled_unlock_message_height"]), "unlocked at")


def run_unlock_shares(case: Case) -> None:
    expected, owner = case["expected"], case["owner"]
    if case["op"] == "message" and case["authority"] not in ("gov", "delaymsg"):
        same("invalid authority", expected.get("error"), "error")  # who may send it is the chain's own
        return
    if case["op"] == "message" and not owner:
        same("owner address cannot be empty", expected.get("error"), "error")
        return
    locked = sum(int(one["shares"]) for one in case["existing_unlocks"] or ())
    house = House(100, {owner: max(1, locked)})
    bind(house, owner, case["existing_unlocks"])
    freed: list[int] = []
    now = int(case["current_block_height"])
    found = refusal(lambda: freed.append(house.pool.unlock(owner, now=now, clock="height", at=2)))
    if expected.get("error") is not None:
        assert found is not None, "nothing was refused"
        assert found == expected["error"] or case["op"] == "message", (found, expected)
        return
    same(found, None, "error")
    same(freed, [int(expected["unlocked_shares"])], "unlocked")
    same(bound(house, owner), expected["unlocks"], "locks")


def run_locked_total(case: Case) -> None:
    house = House(100, {"alice": 1 + sum(int(one["shares"]) for one in case["unlocks"])})
    bind(house, "alice", case["unlocks"])
    same(sum(lock.shares for lock in house.pool.locks("alice")), int(case["expected"]), "locked")
    same(house.pool.holding("alice", at=1).locked, int(case["expected"]), "locked")


# -- what it is worth -------------------------------------------------------------------------------------------------------


def run_megavault_equity(case: Case) -> None:
    house = House(int(case["main_vault_equity"]))
    for one in case["vaults"]:
        house.sub_vault(int(one["vault_number"]), one["status"], int(one["equity"]))
    same(house.pool.equity(at=1), int(case["expected"]), "equity")


def run_vault_equity(case: Case) -> None:
    house, number, expected = House(), int(case["vault_number"]), case["expected"]
    house.sub_vault(number, case["status"], int(case["asset_quote_quantums"]), int(case["position_base_quantums"]), market_of(case, number))
    if case["query_vault_number"] is None:
        assert "error" in expected  # an empty request is the chain's own
        return
    name = f"clob-{case['query_vault_number']}"
    known = {one.name for one in house.pool.sub_vaults(at=1)}
    same(None if name in known else "vault not found", expected.get("error"), "error")
    if "error" not in expected:
        same(house.worth(int(case["query_vault_number"])), int(expected["equity"]), "equity")
        same(sum(amount.units for amount in house.core.sleeves[name].positions().values()), int(expected["inventory"]), "inventory")


# -- leaving ----------------------------------------------------------------------------------------------------------------


def pool_of(case: Case, shares: Mapping[str, int]) -> House:
    house = House(int(case["main_vault_quote_quantums"]), shares, case["default_quoting_params"])
    for one in case["vaults"]:
        number = int(one["vault_number"])
        market = one if one.get("perpetual") else None
        sleeve = house.sub_vault(number, one["status"], int(one["asset_quote_quantums"]), int(one["position_base_quantums"]), market)
        own = own_params(one.get("quoting_params"))
        if own is not None:
            house.pool.set_quoting(own, sleeve.name, at=1)
    return house


def run_redeem(case: Case) -> None:
    owner, own, total = case["owner"], int(case["owner_total_shares"]), int(case["total_shares"])
    house = pool_of(case, {owner: own, "others": total - own})
    if int(case["owner_locked_shares"]):
        house.pool.lock(owner, int(case["owner_locked_shares"]), 7, now=1, clock="height", at=1)
    shares, least, expected = int(case["shares_to_withdraw"]), int(case["min_quote_quantums"]), case["expected"]
    before = house.pool.equity(at=1)
    valid = shares > 0 and 0 <= least < 2**64
    error = None if valid else "ErrNonPositiveShares" if shares <= 0 else "ErrInvalidQuoteQuantums"
    failed = None if valid else "validate"
    paid = 0
    if valid:
        try:
            would = house.pool.quote(shares, at=2).money.units if 0 < shares <= house.pool.total else 0
            if would >= 2**64:
                raise ShareError("more than 64 bits", "least")  # the chain's own bound
            paid = house.pool.withdraw(owner, shares, at_least=Amount(least, USDC), at=2).money.units
        except ShareError as refused:
            failed, error = "execute", ERRORS.get(refused.rule, refused.rule)
    same(failed, expected["fails_at"], "fails at")
    if expected.get("error") is not None:
        same(error, expected["error"], "error")
    if "redeemed_quote_quantums" in expected:
        same(paid, int(expected["redeemed_quote_quantums"]), "redeemed")
    if failed is None:
        same(house.core.client_money(owner).units, paid, "owed to the owner")
        same(before - house.pool.equity(at=2), paid, "equity fell by")
    if "total_shares" in expected:
        same(house.pool.total, int(expected["total_shares"]), "total")
        same(house.pool.shares(owner), int(expected["owner_shares"]), "owner")
    found = [house.worth(int(one["vault_number"])) for one in case["vaults"]]
    if "sub_vault_equities" in expected:
        same(found, [int(one) for one in expected["sub_vault_equities"]], "sub-vaults")


def run_withdrawal_info(case: Case) -> None:
    house, expected, shares = pool_of(case, {"alice": int(case["total_shares"])}), case["expected"], int(case["shares_to_withdraw"])
    try:
        found = house.pool.quote(shares, at=1)
    except ShareError as refused:
        same(ERRORS[refused.rule], expected.get("error"), "error")
        return
    assert "error" not in expected, f"no error, expected {expected['error']!r}"
    same(found.shares, int(expected["shares_to_withdraw"]), "shares")
    same(found.money.units, int(expected["expected_quote_quantums"]), "money")
    same(found.counted, Fraction(int(expected["megavault_equity"])), "equity")
    same(house.pool.total, int(expected["total_shares"]), "total")


# -- sub-vaults -------------------------------------------------------------------------------------------------------------


def run_set_vault_params(case: Case) -> None:
    house, number, new, expected = House(default=case["default_quoting_params"]), int(case["vault_number"]), case["new"], case["expected"]
    existing, name = case["existing"], f"clob-{number}"
    money, base = int(case["asset_quote_quantums"]), int(case["position_base_quantums"])
    house.sub_vault(number, existing["status"] if existing else "stand_by", money, base, market_of(case, number))
    if existing and existing.get("quoting_params") is not None:
        house.pool.set_quoting(own_params(existing["quoting_params"]), name, at=1)
    before = house.core.sleeves[name].own_status, house.pool.quoting(name)

    def change() -> None:
        if new["status"] not in STATUS:
            raise ShareError("no status", "status")
        params = own_params(new["quoting_params"])
        house.pool.set_status(name, STATUS[new["status"]], by="gov", at=2)
        house.pool.set_quoting(params, name, by="gov", at=2)

    from dydx_quoting import ERRORS as QUOTING

    try:
        found = refusal(change)
    except InvalidQuoting as refused:
        found = QUOTING[refused.rule]
    same(found, expected["error"], "error")
    after = house.core.sleeves[name].own_status, house.pool.quoting(name)
    if found is not None:
        same(after, before, "status and parameters")
        return
    status = STATUS[new["status"]]
    own = own_params(new["quoting_params"])
    same(after[0] if status is not Status.STAND_BY or after[0] is not Status.PAUSED else status, status, "status")
    same(after[1], own or params_of(case["default_quoting_params"]), "parameters")


def transfer(case: Case, act: Callable[[House, str, Amount], object]) -> None:
    """An allocation or a retrieval: the chain's checks of the message, then the library's of the money."""
    number, units, expected = int(case["vault_number"]), int(case["quote_quantums"]), case["expected"]
    main, money = int(case["main_vault_quote_quantums"]), int(case["sub_vault_quote_quantums"])
    known, market = case["existing"], market_of(case, number)
    house = House(main, default=case["default_quoting_params"])
    retrieving = "retrieve" in act.__name__
    name = f"clob-{number}"
    fresh = known is None and not money and not int(case["sub_vault_position_base_quantums"])
    if not fresh:
        house.sub_vault(number, known["status"] if known else "stand_by", money, int(case["sub_vault_position_base_quantums"]), market)
    error, failed = None, None
    if not case["authority"]:
        error, failed = "ErrInvalidAuthority", "validate"
    elif not 0 < units < 2**64:
        error, failed = "ErrInvalidQuoteQuantums", "validate"
    elif case["authority"] not in ("gov", "delaymsg", case["operator"]) or market is None or (retrieving and known is None):
        failed = "execute"
    else:
        try:
            act(house, name, Amount(units, USDC))
        except VaultError:
            failed = "execute"
    same(failed, expected["fails_at"], "fails at")
    if expected.get("error") is not None:
        same(error, expected["error"], "error")
    there = name in house.core.sleeves
    if "main_vault_quote_quantums" in expected:
        same(house.pool.main_units(), int(expected["main_vault_quote_quantums"]), "main account")
        same(house.money(number) if there else 0, int(expected["sub_vault_quote_quantums"]), "sub-vault")
    if failed is None and "vault_params" in expected:
        told = expected["vault_params"]
        same(house.core.sleeves[name].own_status, STATUS[told["status"]], "status")
        own = own_params(told["quoting_params"])
        same(house.pool.quoting(name), own or params_of(case["default_quoting_params"]), "parameters")


def run_allocate(case: Case) -> None:
    def allocate(house: House, name: str, amount: Amount) -> None:
        house.pool.allocate(name, amount, at=2)

    transfer(case, allocate)


def run_retrieve(case: Case) -> None:
    def retrieve(house: House, name: str, amount: Amount) -> None:
        house.pool.retrieve(name, amount, at=2)

    transfer(case, retrieve)


def run_decommission(case: Case) -> None:
    house = House()
    for one in case["vaults"]:
        house.sub_vault(int(one["vault_number"]), one["status"], int(one["equity"]))
    gone = house.pool.decommission(at=2)
    left = {one.name for one in house.pool.sub_vaults(at=2)}
    names = [f"clob-{one['vault_number']}" for one in case["vaults"]]
    same([name in gone for name in names], list(case["expected"]["decommissioned"]), "decommissioned")
    same([name not in left for name in names], list(case["expected"]["decommissioned"]), "not there any more")


def run_sweep(case: Case) -> None:
    """Coins on the module's own account become the pool's: here, coins that the wallet has and the books do not."""
    assert case["op"] in ("direct", "end_block"), f"unknown way to sweep: {case['op']}"
    house, loose = House(int(case["subaccount_balance"])), int(case["bank_balance"])
    found = house.pool.sweep(house.core.coins + Amount(loose, USDC), at=2)
    same(loose - found.units, int(case["expected"]["bank_balance"]), "left outside")
    same(house.pool.main_units(), int(case["expected"]["subaccount_balance"]), "main account")
