"""Runs dYdX's table cases of quoting on `sleeves.quoting`. The cases are no part of this project.

Each `run_<area>` takes one case of `dydx/<area>.json`, or of the same layout, and raises `AssertionError` where the library
does not come to what the case says. The areas about refreshing need a chain around the library: `Chain` is one, with a block
clock, the orders that stand, their expiry, and the few messages that the cases send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

from attrs import define, field

from sleeves.errors import InvalidAmount
from sleeves.market import SECOND
from sleeves.money import PPM, Rounding, divide
from sleeves.quoting import (
    InvalidQuoting,
    LayerOrder,
    QuotingParams,
    Resting,
    Stance,
    base_to_quote,
    check_shares,
    clamp,
    client_id,
    client_ids,
    effective_params,
    leverage,
    quote_to_base,
    quotes,
    refresh,
    skew_antiderivative,
    spread_ppm,
    subticks,
    to_multiple,
    unit_worth,
    withdrawal_slippage,
)

Case = Mapping[str, Any]

UINT64 = 2**64 - 1
ERRORS = {
    "layers": "ErrInvalidLayers",
    "spread_min": "ErrInvalidSpreadMinPpm",
    "order_size": "ErrInvalidOrderSizePctPpm",
    "expiry": "ErrInvalidOrderExpirationSeconds",
    "activation": "ErrInvalidActivationThresholdQuoteQuantums",
    "skew": "ErrInvalidSkewFactor",
    "price": "ErrZeroMarketPrice",
    "equity": "ErrNonPositiveEquity",
    "size": "ErrInvalidOrderSize",
    "shares": "ErrInvalidSharesToWithdraw",
}
"""Our rules in the chain's words."""


def error_of(act: Callable[[], object]) -> str | None:
    """The chain's word for what an act is refused for; None where it is not."""
    try:
        act()
    except InvalidQuoting as refused:
        return ERRORS[refused.rule]
    return None


def same(found: object, expected: object, what: str) -> None:
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def params_of(given: Mapping[str, Any]) -> QuotingParams:
    return QuotingParams(
        layers=int(given["layers"]),
        spread_min_ppm=int(given["spread_min_ppm"]),
        spread_buffer_ppm=int(given["spread_buffer_ppm"]),
        skew_factor_ppm=int(given["skew_factor_ppm"]),
        order_size_ppm=int(given["order_size_pct_ppm"]),
        expiry_s=int(given["order_expiration_seconds"]),
        activation=int(given["activation_threshold_quote_quantums"]),
    )


def own_params(given: Mapping[str, Any] | None) -> QuotingParams | None:
    return None if given is None else params_of(given)


def side_of(word: str) -> bool:
    """Whether a side sells."""
    return {"sell": True, "buy": False}[word]


# -- figures ------------------------------------------------------------------------------------------------------------


def run_skew_antiderivative(case: Case) -> None:
    found = skew_antiderivative(int(case["skew_factor_ppm"]), Fraction(case["leverage"]))
    same(found, Fraction(case["expected"]), "antiderivative")


def run_spread(case: Case) -> None:
    params = QuotingParams(spread_min_ppm=int(case["spread_min_ppm"]), spread_buffer_ppm=int(case["spread_buffer_ppm"]))
    same(spread_ppm(params, int(case["min_price_change_ppm"])), int(case["expected"]), "spread")


def run_client_id(case: Case) -> None:
    same(client_id(int(case["layer"]), sells=side_of(case["side"])), int(case["expected"]), "client id")


def run_order_ids(case: Case) -> None:
    """The canonical list: order n is of layer n / 2, asks first."""
    expected = case["expected"]
    found = client_ids(params_of(case["quoting_params"]).layers)
    same(len(found), int(expected["num_orders"]), "how many")
    same(len(found), len(expected["orders"]), "how many are listed")
    for place, (number, order) in enumerate(zip(found, expected["orders"], strict=True)):
        told = order if isinstance(order, Mapping) else {"client_id": order}
        assert {"client_id", "side", "layer"} & set(told), f"order {place} says nothing of its number: {told}"
        same(number, int(told.get("client_id", number)), f"client id {place}")
        same(place // 2, int(told.get("layer", place // 2)), f"layer {place}")
        same(place % 2 == 0, side_of(told["side"]) if "side" in told else place % 2 == 0, f"side {place}")
        same(int(told.get("clob_pair_id", case["vault_number"])), int(case["vault_number"]), f"pair {place}")
        assert told.get("order_flags", 64) in (64, "64", "long_term"), f"order flags of {place}: {told}"


def run_price_to_subticks(case: Case) -> None:
    found = subticks(
        int(case["price"]),
        int(case["price_exponent"]),
        int(case["quantum_conversion_exponent"]),
        int(case["base_atomic_resolution"]),
        int(case.get("quote_atomic_resolution", -6)),
    )
    same(found, Fraction(case["expected"]), "subticks")


def run_quantums(case: Case) -> None:
    worth = unit_worth(
        int(case["price"]),
        int(case["price_exponent"]),
        int(case["base_atomic_resolution"]),
        int(case.get("quote_atomic_resolution", -6)),
    )
    turn = {"base_to_quote": base_to_quote, "quote_to_base": quote_to_base}[case["op"]]
    if case["expected"] is None:
        assert error_of(lambda: turn(int(case["quantums"]), worth)) is not None, "nothing was refused"
        return
    same(turn(int(case["quantums"]), worth), int(case["expected"]), case["op"])


def _whole_ratio(numerator: int, denominator: int, rounding: Rounding) -> int:
    """A division whose denominator may be below zero, which is the same one with both signs turned."""
    return divide(-numerator, -denominator, rounding) if denominator < 0 else divide(numerator, denominator, rounding)


def run_rounding(case: Case) -> None:
    rounding = Rounding.CEIL if case.get("round_up", True) else Rounding.FLOOR
    acts: dict[str, Callable[[], int]] = {
        "mul_ppm": lambda: divide(int(case["val"]) * int(case["ppm"]), PPM, rounding),
        "div_ceil": lambda: _whole_ratio(int(case["numerator"]), int(case["denominator"]), Rounding.CEIL),
        "round_to_multiple": lambda: to_multiple(int(case["n"]), int(case["multiple"]), rounding),
        "clamp": lambda: clamp(int(case["n"]), int(case["lower"]), int(case["upper"])),
    }
    if case["expected"] is not None:
        same(acts[case["op"]](), int(case["expected"]), case["op"])
        return
    try:
        found = acts[case["op"]]()
    except InvalidAmount:
        return
    raise AssertionError(f"{case['op']} came to {found}, and must be refused")


# -- parameters -----------------------------------------------------------------------------------------------------------


def run_quoting_params(case: Case) -> None:
    """Of the operations `operator` and `vault` only what is said of a status, an own set of parameters and an empty operator."""
    expected = case["expected"]["error"]
    op = case["op"]
    if op == "quoting":
        same(error_of(lambda: params_of(case["quoting_params"])), expected, "refused for")
    elif op == "vault":
        try:
            Stance(case["status"])
        except ValueError:
            same("ErrUnspecifiedVaultStatus", expected, "refused for")
            return
        same(error_of(lambda: own_params(case.get("quoting_params"))), expected, "refused for")
    else:
        same(op, "operator", "operation")
        same(None if case["operator"] else "ErrEmptyOperator", expected, "refused for")


def run_effective_quoting_params(case: Case) -> None:
    vault = case["vault"]
    if vault is None:
        same(None, case["expected"], "parameters of no vault")
        return
    found = effective_params(own_params(vault["quoting_params"]), params_of(case["default_quoting_params"]))
    same(found, own_params(case["expected"]), "parameters")


# -- orders -----------------------------------------------------------------------------------------------------------------


def list_of(
    *,
    params: QuotingParams,
    stance: Stance,
    cash: int,
    inventory: int,
    pair: Mapping[str, Any],
    perpetual: Mapping[str, Any],
    market: Mapping[str, Any],
    now: int,
) -> tuple[LayerOrder, ...]:
    """The quotes of a vault with so much cash and such a position, in the units of its pair; none after a final settlement."""
    if pair.get("status") == "final_settlement":
        return ()
    price, exponent = int(market["price"]), int(market["exponent"])
    resolution = int(perpetual["atomic_resolution"])
    oracle = subticks(price, exponent, int(pair["quantum_conversion_exponent"]), resolution)
    worth = unit_worth(price, exponent, resolution)
    equity = cash + base_to_quote(inventory, worth)
    return quotes(
        params,
        equity=equity,
        leverage=leverage(inventory, worth, equity) if price > 0 and equity > 0 else Fraction(0),
        inventory=inventory,
        price=oracle,
        worth=worth,
        tick=int(pair["subticks_per_tick"]),
        step=int(pair["step_base_quantums"]),
        now=now,
        stance=stance,
        min_price_change_ppm=int(market["min_price_change_ppm"]),
        most_price=UINT64,
        most_size=UINT64,
    )


def run_orders(case: Case) -> None:
    pair, now = case["clob_pair"], 1_700_000_000 * SECOND + 999_999_999
    params = own_params(case["quoting_params"])
    expected = case["expected"]
    if params is None:
        params = own_params(case.get("default_quoting_params"))
    stance = None if case.get("status") is None else Stance(case["status"])

    def found() -> tuple[LayerOrder, ...]:
        if pair is None or int(pair.get("id", case["vault_number"])) != int(case["vault_number"]):
            return ()
        assert params is not None, "a vault quotes by parameters"
        return list_of(
            params=params,
            stance=Stance.QUOTING if stance is None else stance,
            cash=int(case["asset_quote_quantums"]),
            inventory=int(case["inventory_base_quantums"]),
            pair=pair,
            perpetual=case["perpetual"],
            market=case["market"],
            now=now,
        )

    if expected.get("error"):
        if case.get("perpetual") is None or case.get("market") is None:
            return  # the chain's own words for what is missing; without it nothing can be worked out
        if stance is None or params is None:
            same("ErrVaultParamsNotFound", expected["error"], "refused for")
            return
        same(error_of(found), expected["error"], "refused for")
        return
    orders = found()
    same(len(orders), len(expected["orders"]), "how many orders")
    for place, (order, told) in enumerate(zip(orders, expected["orders"], strict=True)):
        assert params is not None
        what = f"order {place}"
        for name in told:
            assert name in ("layer", "side", "subticks", "quantums", "time_in_force", "client_id"), f"unknown field {name}"
        same(order.layer, int(told["layer"]), f"layer of {what}")
        same(order.sells, side_of(told["side"]), f"side of {what}")
        same(order.price, int(told["subticks"]), f"price of {what}")
        same(order.size, int(told["quantums"]), f"size of {what}")
        same("post_only" if order.post_only else "unspecified", told["time_in_force"], f"time in force of {what}")
        number = client_id(int(told["layer"]), sells=side_of(told["side"]))
        same(order.id, int(told.get("client_id", number)), f"client id of {what}")
        same(order.good_til, (now // SECOND + params.expiry_s) * SECOND, f"end of {what}")


def run_withdraw_slippage(case: Case) -> None:
    shares, total = int(case["shares_to_withdraw"]), int(case["total_shares"])
    expected = case["expected"]
    missing = case["vault_number"] != case["existing_vault_number"]

    def found() -> Fraction:
        return withdrawal_slippage(
            Fraction(case["leverage"]),
            shares,
            total,
            int(case["initial_margin_ppm"]),
            params_of(case["quoting_params"]),
            int(case["min_price_change_ppm"]),
        )

    if expected.get("error"):
        reason = error_of(lambda: check_shares(shares, total)) or ("ErrVaultParamsNotFound" if missing else error_of(found))
        same(reason, expected["error"], "refused for")
        return
    assert not missing, "a vault without parameters has no slippage"
    same(found(), Fraction(expected["slippage"]), "slippage")


# -- a chain around refresh ---------------------------------------------------------------------------------------------------


@define
class Vault:
    """A sub-vault: its money, its position, and the numbers of its orders."""

    number: int
    stance: Stance
    own: QuotingParams | None
    cash: int
    inventory: int
    recent: list[int | None] = field(factory=list)
    book: dict[int, LayerOrder] = field(factory=dict)
    removed: set[int] = field(factory=set)
    """Numbers that were cancelled, or ran out, in this block."""


@define
class Chain:
    """Blocks, prices, vaults and what stands on their books. Times are nanoseconds."""

    default: QuotingParams
    markets: dict[int, dict[str, Any]]
    """By pair: its terms, those of its perpetual, and the oracle's price, which is whole."""
    vaults: dict[int, Vault]
    main: int = 0
    now: int = 0

    @classmethod
    def of(cls, case: Case, vaults: Sequence[Vault]) -> Chain:
        markets = {int(one["clob_pair"]["id"]): {name: dict(terms) for name, terms in one.items()} for one in case["markets"]}
        default = params_of(case["default_quoting_params"])
        return cls(default, markets, {one.number: one for one in vaults}, int(case.get("main_vault_quote_quantums", 0)))

    def params(self, vault: Vault) -> QuotingParams:
        return effective_params(vault.own, self.default)

    def wanted(self, vault: Vault) -> tuple[LayerOrder, ...]:
        market = self.markets.get(vault.number)
        if market is None:
            return ()
        return list_of(
            params=self.params(vault),
            stance=vault.stance,
            cash=vault.cash,
            inventory=vault.inventory,
            pair=market["clob_pair"],
            perpetual=market["perpetual"],
            market=market["market"],
            now=self.now,
        )

    def worth(self, vault: Vault) -> int:
        """What a vault has, its position at the oracle's price."""
        market = self.markets.get(vault.number)
        if market is None:
            return vault.cash
        terms = market["market"]
        worth = unit_worth(int(terms["price"]), int(terms["exponent"]), int(market["perpetual"]["atomic_resolution"]))
        return vault.cash + base_to_quote(vault.inventory, worth)

    # -- the order module ------------------------------------------------------------------------------------------------

    def place(self, vault: Vault, order: LayerOrder) -> None:
        if order.id not in vault.book and order.id not in vault.removed:
            vault.book[order.id] = order

    def cancel(self, vault: Vault, number: int, params: QuotingParams) -> bool:
        """Whether it could be cancelled: not by one who would have the cancel end before the order does."""
        order = vault.book.get(number)
        if order is None or (self.now // SECOND + params.expiry_s) * SECOND < order.good_til:
            return False
        del vault.book[number]
        vault.removed.add(number)
        return True

    # -- a block ---------------------------------------------------------------------------------------------------------

    def block(self, events: Sequence[Mapping[str, Any]] = (), after: int = 0) -> None:
        self.now += after * SECOND
        for vault in list(self.vaults.values()):
            vault.removed.clear()
            if vault.stance is Stance.DEACTIVATED and self.worth(vault) <= 0:
                del self.vaults[vault.number]
        for event in events:
            self.message(event)
        for vault in self.vaults.values():
            for order in [one for one in vault.book.values() if one.good_til <= self.now]:
                del vault.book[order.id]
                vault.removed.add(order.id)
        for vault in self.vaults.values():
            self.refresh(vault)

    def message(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        number = int(event.get("vault_number", next(iter(self.vaults))))
        vault = self.vaults[number]
        if kind == "price":
            terms = self.markets[int(event.get("market_id", event.get("vault_number", number)))]["market"]
            terms["price"] = int(terms["price"]) * int(event["num"]) // int(event["den"])
        elif kind in ("allocate", "retrieve"):
            units = int(event["quote_quantums"]) * (1 if kind == "allocate" else -1)
            vault.cash += units
            self.main -= units
        elif kind == "position":
            vault.inventory = int(event["base_quantums"])
        else:
            assert kind == "set_vault_params", f"no such message: {event}"
            with suppress(InvalidQuoting):
                self.set_params(vault, Stance(event["status"]), own_params(event.get("quoting_params")))

    def set_params(self, vault: Vault, stance: Stance, own: QuotingParams | None) -> None:
        if stance is Stance.DEACTIVATED and self.worth(vault) > 0:
            return
        if stance in (Stance.DEACTIVATED, Stance.STAND_BY):
            for number in vault.recent:
                if number is not None and number in vault.book:
                    self.cancel(vault, number, self.params(vault))
            vault.recent = []
        vault.stance, vault.own = stance, own

    def refresh(self, vault: Vault) -> None:
        params = self.params(vault)
        if vault.stance not in (Stance.QUOTING, Stance.CLOSE_ONLY) or (not vault.inventory and vault.cash < params.activation):
            return
        try:
            new = self.wanted(vault)
        except InvalidQuoting:
            return
        live: dict[int, Resting] = {number: order.terms for number, order in vault.book.items()}
        changes = refresh(vault.recent, live, new)
        for change in changes:
            gone = change.cancel is None or self.cancel(vault, change.cancel, params)
            if change.place is not None and gone:
                self.place(vault, change.place)
        vault.recent = [change.id for change in changes[: len(new)]]


def chain_of(case: Case) -> tuple[Chain, Vault]:
    """A chain of one vault, after its first block at time zero."""
    vault = Vault(
        int(case["vault_number"]),
        Stance(case["status"]),
        own_params(case["quoting_params"]),
        int(case["asset_quote_quantums"]),
        int(case["position_base_quantums"]),
    )
    chain = Chain.of(case, [vault])
    chain.block()
    return chain, vault


def advance(chain: Chain, step: Mapping[str, Any]) -> None:
    """The messages in the next block, and then so many blocks in all, of which the last one is later."""
    blocks = int(step["blocks"])
    for n in range(blocks):
        chain.block(step["events"] if n == 0 else (), int(step["seconds"]) if n == blocks - 1 else 0)


def check_refresh(chain: Chain, vault: Vault, expected: Mapping[str, Any], before: int, what: str) -> None:
    same(vault.recent, [int(one) for one in expected["client_ids"]], f"{what}: remembered numbers")
    same(sorted(vault.book), sorted(int(one) for one in expected["client_ids"]), f"{what}: numbers on the book")
    canonical = client_ids(chain.params(vault).layers)
    expiry = chain.params(vault).expiry_s
    orders = [vault.book[number] for number in vault.recent if number is not None]
    same(["sell" if one.sells else "buy" for one in orders], list(expected["sides"]), f"{what}: sides")
    for name in ("refreshed", "client_id_is_canonical"):
        same(len(expected[name]), len(orders), f"{what}: how many of {name}")
    for place, order in enumerate(orders):
        same(order.id == canonical[place], expected["client_id_is_canonical"][place], f"{what}: canonical number {place}")
        since = chain.now if expected["refreshed"][place] else before
        same(order.good_til, (since // SECOND + expiry) * SECOND, f"{what}: end of order {place}")


def run_refresh_vault(case: Case) -> None:
    chain, vault = chain_of(case)
    check_refresh(chain, vault, case["expected_initial"], -SECOND, "at first")
    for number, step in enumerate(case["steps"]):
        before = chain.now
        advance(chain, step)
        check_refresh(chain, vault, step["expected"], before, f"step {number}")


def run_refresh_book(case: Case) -> None:
    """The layout of edge cases: what is on the book, and what is remembered."""
    chain, vault = chain_of(case)

    def check(expected: Mapping[str, Any], what: str) -> None:
        same(sorted(vault.book), sorted(int(one) for one in expected["book"]), f"{what}: on the book")
        same(vault.recent, [int(one) for one in expected["recent"]], f"{what}: remembered")

    check(case["expected_initial"], "at first")
    for number, step in enumerate(case["steps"]):
        advance(chain, step)
        check(step["expected"], f"step {number}")


def run_refresh_all(case: Case) -> None:
    vaults = [
        Vault(
            int(one["vault_number"]),
            Stance(one["status"]),
            own_params(one.get("quoting_params")),
            int(one["asset_quote_quantums"]),
            int(one["position_base_quantums"]),
        )
        for one in case["vaults"]
    ]
    chain = Chain.of(case, vaults)
    for vault in vaults:
        chain.refresh(vault)
    for vault, places in zip(vaults, case["expected"]["places_orders"], strict=True):
        wanted = {order.id: order for order in chain.wanted(vault)} if places else {}
        assert bool(wanted) is places, f"vault {vault.number}: its list holds {len(wanted)} orders"
        same(vault.book, wanted, f"vault {vault.number}: on the book")


RUNNERS: Mapping[str, Callable[[Case], None]] = {
    "client_id": run_client_id,
    "effective_quoting_params": run_effective_quoting_params,
    "order_ids": run_order_ids,
    "orders": run_orders,
    "price_to_subticks": run_price_to_subticks,
    "quantums": run_quantums,
    "quoting_params": run_quoting_params,
    "refresh_all": run_refresh_all,
    "refresh_book": run_refresh_book,
    "refresh_vault": run_refresh_vault,
    "rounding": run_rounding,
    "skew_antiderivative": run_skew_antiderivative,
    "spread": run_spread,
    "withdraw_slippage": run_withdraw_slippage,
}
"""By area; `refresh_book` has only edge cases."""


def run_edge(case: Case) -> None:
    """An edge case of one of these areas, which its field `schema` names. Raises `KeyError` for another area."""
    RUNNERS[case["schema"]](case)
