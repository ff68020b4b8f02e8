"""What is made unchecked is what is made checked, of the same values: in every way that anybody could tell."""

from __future__ import annotations

import copy
import inspect
import pickle

import attrs
import pytest
from attrs import fields

from sleeves.ledger import Entry
from sleeves.making import maker
from sleeves.margin import Check, Coin, Contract, MarginAccount, Weights, standing
from sleeves.market import Instrument, Perpetual
from sleeves.money import SOL, USD, Amount
from sleeves.orders import Fill, Order, Place, Side
from sleeves.records import Placed

COIN = Coin("USD", 1_000_000, 6, 1_000_000, is_quote=True)
CONTRACT = Contract("SOL-PERP", Perpetual(), 10**9, -(10**8), 10**8, bids=5)
VALUES = [Amount(7, USD), COIN, CONTRACT, MarginAccount((COIN,), (CONTRACT,)), standing(MarginAccount((COIN,)), Check.INITIAL), Weights()]


@pytest.mark.parametrize("one", VALUES, ids=lambda one: type(one).__name__)
def test_it_is_equal_hashed_shown_frozen_copied_and_pickled_alike(one):
    made = maker(type(one))(*(getattr(one, field.name) for field in fields(type(one))))
    assert type(made) is type(one)
    assert (made, hash(made), repr(made)) == (one, hash(one), repr(one))
    assert pickle.loads(pickle.dumps(made)) == one == copy.deepcopy(made)
    assert attrs.evolve(made) == one
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, fields(type(one))[0].name, 1)


def test_it_takes_all_fields_and_checks_none():
    with pytest.raises(TypeError):
        maker(Amount)(1)
    assert maker(Amount)("much", None).units == "much"


def test_a_wish_is_filled_in_and_frozen_whichever_way_it_is_made():
    market = Instrument("SOL/USD", base=SOL, quote=USD)
    wish = Place(market, Side.BUY, 5, why="because")

    class Own(Place):
        """A subclass has its own layout."""

    assert maker(Place)(*(getattr(wish, field.name) for field in fields(Place))) == wish == copy.deepcopy(wish) == attrs.evolve(wish)
    assert pickle.loads(pickle.dumps(wish)) == wish
    assert type(Own(market, Side.BUY, 5)) is Own
    assert Own(market, Side.BUY, 5).qty == 5
    for made in (wish, Own(market, Side.BUY, 5)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.qty = 6
    assert [field.name for field in fields(Place)] == list(inspect.signature(Place).parameters)


@pytest.mark.parametrize("cls", [Entry, Placed, Contract, Fill, Order])
def test_it_names_the_fields_that_it_takes(cls):
    names = [field.name for field in fields(cls)]
    assert maker(cls).__doc__ == f"One {cls.__name__} of ({', '.join(names)}), unchecked."
    assert maker(cls).__code__.co_varnames[: len(names)] == tuple(names)
