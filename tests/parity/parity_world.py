"""What both sides look at: the real accounts of one user of Drift v2 and its markets, and driftpy's own client over them, offline."""

from __future__ import annotations

import base64
import json
import os
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("driftpy", reason="driftpy is not installed: .ci/parity makes the environment that has it")

from anchorpy import Idl, Program, Provider, Wallet
from driftpy.drift_client import DriftClient
from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.venues.drift import accounts
from sleeves.venues.drift.deployment import DRIFT_V2
from sleeves.venues.drift.driftpy import Driftpy
from sleeves.venues.drift.instructions import Markets

VARIABLE = "SLEEVES_CASES"


def cases(name):
    """A file of the cases; the test is skipped, and says so, where no folder of them is named."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set: it names the folder that holds drift/{name}.json")
    return json.loads((Path(folder) / "drift" / f"{name}.json").read_text("utf-8"))


def fixtures():
    """Every account of Drift's program among the cases: its name, which account it is, its bytes. Nothing where there are no cases."""
    if not os.environ.get(VARIABLE):
        return
    for name in ("user_accounts", "market_accounts"):
        for case in cases(name)["cases"]:
            raw = base64.b64decode(case["data_base64"])
            kind = KINDS.get(raw[:8].hex())
            if kind is not None and "velocity" not in case["id"]:
                yield case["id"], kind, raw
    world = cases("snapshots")["raw"]
    yield "snapshot.user", "User", base64.b64decode(world["user_base64"])
    for name, text in world["markets"].items():
        yield f"snapshot.{name}", "PerpMarket" if "perp" in name else "SpotMarket", base64.b64decode(text)


KINDS = {
    "9f755fe3ef973aec": "User",
    "b0df881b7a4f20e3": "UserStats",
    "0adf0c2c6bf537f7": "PerpMarket",
    "64b1086ba8414127": "SpotMarket",
    "d8926b5e684bb6b1": "State",
}


class Offline(DriftClient):
    """driftpy's client, its builders untouched, with the accounts handed in instead of subscribed to."""

    def __init__(self, keypair, spots, perps, user):
        idl = Idl.from_json((resources.files("driftpy") / "idl" / "drift.json").read_text("utf-8"))
        self.program_id = Pubkey.from_string(DRIFT_V2.program_id)
        self.wallet = Wallet(keypair)
        self.authority = keypair.pubkey()
        self.program = Program(idl, self.program_id, Provider(AsyncClient("https://nowhere.invalid"), self.wallet))
        self.connection = SimpleNamespace(get_account_info=self._there)
        self.active_sub_account_id = 0
        self.sub_account_ids = [0, 1]
        self.users = {0: None, 1: None}
        self.last_perp_market_seen_cache = {}
        self.last_spot_market_seen_cache = {}
        self.signer_public_key = self.state_public_key = self.user_stats_public_key = None
        self.user_stats = {}
        self._spots, self._perps, self._user = spots, perps, user

    async def _there(self, _address):
        return SimpleNamespace(value=object())

    def get_spot_market_account(self, market_index):
        return self._spots[market_index]

    def get_perp_market_account(self, market_index):
        return self._perps[market_index]

    def get_user_account(self, sub_account_id=None):
        return self._user

    def get_user(self, sub_account_id=None):
        return SimpleNamespace(get_user_account_and_slot=lambda: SimpleNamespace(slot=10**9))


class World:
    """One user's accounts as both sides read them."""

    def __init__(self):
        raw = cases("snapshots")["raw"]
        other = Driftpy()
        theirs = {True: {}, False: {}}
        ours = {True: {}, False: {}}
        for name, text in raw["markets"].items():
            data = base64.b64decode(text)
            decoded = other.decode(data)
            perp = "perp" in name
            kind = accounts.PerpMarket if perp else accounts.SpotMarket
            theirs[perp][decoded.market_index] = decoded
            ours[perp][decoded.market_index] = accounts.read(DRIFT_V2, kind, str(decoded.pubkey), DRIFT_V2.program_id, data, 1)
        self.user_bytes = base64.b64decode(raw["user_base64"])
        self.markets = Markets(ours[False], ours[True])
        self.theirs = other.decode(self.user_bytes)
        address = DRIFT_V2.user(str(self.theirs.authority), self.theirs.sub_account_id)
        self.user = accounts.read_user(DRIFT_V2, address, DRIFT_V2.program_id, self.user_bytes, 1)
        self.keypair = Keypair.from_seed(bytes(range(32)))
        self.owner = str(self.keypair.pubkey())
        self.client = Offline(self.keypair, theirs[False], theirs[True], self.theirs)
