"""What is made unchecked is what is made checked, of the same values: in every way that anybody could tell."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest
from attrs import fields

from sleeves import margin
from sleeves.ledger import Entry
from sleeves.making import maker
from sleeves.margin import Check, Coin, Contract, MarginAccount, Weights, standing
from sleeves.market import Perpetual
from sleeves.money import USD, Amount
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


@pytest.mark.parametrize("cls", [Entry, Placed, Contract])
def test_the_ways_to_make_it_that_are_kept_are_of_all_fields(cls):
    names = [field.name for field in fields(cls)]
    assert maker(cls).__code__.co_varnames[: len(names)] == tuple(names)
    assert margin.contract_of.__doc__ == f"One Contract of ({', '.join(field.name for field in fields(Contract))}), unchecked."
