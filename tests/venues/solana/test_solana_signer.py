"""A wallet's key: what it signs, what it refuses, and that nobody sees it."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from sleeves.errors import VenueRejected
from sleeves.keys import InvalidKey, Secret
from sleeves.venues.solana import Accounts, Cleared, Guard, Signer, Simulation, memo
from solana_stand import FRIEND, ME, SIGNER, World, key, spending

KEY = key("me")
TEXT = str(KEY)
ARRAY = json.dumps(list(bytes(KEY)))


def cleared(owner="me"):
    world = World()
    address = key(owner).pubkey()
    world.chain.airdrop(address, 10**9)
    raw = world.raw(memo("hello", address), payer=address)
    guard = Guard(address)
    examined = guard.examine(raw, {}, spending())
    blank = (None,) * len(examined.watched)
    return guard.clear(examined, Simulation(1, None, (), blank, None), Accounts(1, blank))


@pytest.mark.parametrize("text", [TEXT, f" {TEXT}\n", ARRAY, json.dumps(list(bytes(KEY)), indent=1)])
def test_both_forms_of_a_key_are_read(text):
    assert Signer(Secret(text)).address == ME


def test_what_it_signs_is_what_was_cleared_and_the_chain_takes_it():
    one = cleared()
    signed = SIGNER.sign(one)
    tx = VersionedTransaction.from_bytes(signed.raw)
    assert tx.verify_with_results() == [True] and tx.signatures == [signed.signature]
    assert signed.raw[65:] == one.decoded.raw[65:] and signed.blockhash == one.decoded.blockhash
    assert SIGNER.sign(one) == signed  # a signature is of the bytes alone


@pytest.mark.parametrize("wrong", [None, b"", "text", 5])
def test_nothing_else_is_signed(wrong):
    with pytest.raises(VenueRejected, match="nothing else"):
        SIGNER.sign(wrong)


def test_what_another_wallets_guard_cleared_is_not_signed():
    with pytest.raises(VenueRejected, match="nothing else"):
        SIGNER.sign(cleared("friend"))
    assert Signer(Secret(str(key("friend")))).address == FRIEND


def test_clearance_cannot_be_made_by_hand():
    one = cleared()
    with pytest.raises(VenueRejected, match=r"Guard\.clear"):
        Cleared(one.decoded, ME, 0, 0, {}, object())
    with pytest.raises(VenueRejected, match=r"Guard\.clear"):
        Cleared(one.decoded, ME, 0, 0, {}, None)


WRONG = {
    "too short": TEXT[:-9],
    "too long": TEXT + "1",
    "a letter that base 58 has not": "0" + TEXT[1:],
    "another public key": str(Keypair())[:44] + TEXT[44:],
    "a number too large": json.dumps([*list(bytes(KEY))[:-1], 256]),
    "a number too small": json.dumps([*list(bytes(KEY))[:-1], -1]),
    "a fraction": json.dumps([*list(bytes(KEY))[:-1], 1.5]),
    "63 numbers": json.dumps(list(bytes(KEY))[:-1]),
    "65 numbers": json.dumps([*list(bytes(KEY)), 0]),
    "no JSON": ARRAY[:-1],
    "nested": "[" * 5000,
    "words": "abandon abandon about",
    "nothing but space": "  ",
    "other letters": "ключ" * 20,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_key_is_refused_and_not_shown(name, capfd):
    with pytest.raises(InvalidKey) as caught:
        Signer(Secret(WRONG[name]))
    told = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    for part in (WRONG[name][:20].strip(), WRONG[name][-20:].strip()):
        assert len(part) < 8 or part not in told
    assert caught.value.__cause__ is None and caught.value.__context__ is None


@pytest.mark.parametrize("wrong", [TEXT, bytes(KEY), KEY, None])
def test_a_key_that_is_no_secret_is_refused(wrong):
    with pytest.raises(InvalidKey) as caught:
        Signer(wrong)
    assert TEXT not in str(caught.value)


def test_nobody_sees_the_key():
    signer = Signer(Secret(TEXT))
    shown = [repr(signer), str(signer), f"{signer}", repr([signer]), repr({name: getattr(signer, name) for name in signer.__slots__})]
    shown += [repr(SIGNER.sign(cleared()))]
    for text in shown:
        assert TEXT not in text and str(list(bytes(KEY))[:8])[1:-1] not in text and bytes(KEY)[:32].hex() not in text
    with pytest.raises(TypeError):
        vars(signer)


WITHOUT = """
import sys
sys.modules["solders"] = None
import sleeves.venues, sleeves.testing
try:
    import {module}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("sleeves.venues.solana", 'Solana needs solders: python -m pip install "sleeves[jupiter]", or ".[jupiter]" in a clone'),
        (
            "sleeves.testing.solana_server",
            'a local Solana needs solders and starlette: python -m pip install "sleeves[servers]", or ".[servers]" in a clone',
        ),
    ],
)
def test_without_solders_it_says_what_is_missing(module, said):
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(module=module)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
