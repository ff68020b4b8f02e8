"""A wallet that speaks to the local Drift as anybody would: JSON-RPC over a socket, and instructions of the venue's own builder."""

from __future__ import annotations

from base64 import b64decode, b64encode

import httpx
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sleeves.testing.solana_server.layout import COMPUTE_BUDGET, ata
from sleeves.venues.drift.accounts import read_perp_market, read_spot_market, read_user, read_user_stats
from sleeves.venues.drift.events import read_log
from sleeves.venues.drift.instructions import Instructions, Markets

UNIT = 10**6
COIN = 10**9


class Refused(Exception):
    """What the node said of a transaction that it did not take: `code` is the program's number, None for other errors."""

    def __init__(self, error):
        super().__init__(error["message"])
        err = (error.get("data") or {}).get("err")
        self.err = err
        why = err["InstructionError"][1] if isinstance(err, dict) else None
        self.code = why.get("Custom") if isinstance(why, dict) else None
        self.logs = (error.get("data") or {}).get("logs")


class Hand:
    """One owner's hand at one exchange."""

    def __init__(self, drift, quote=1_000 * UNIT, key=None):
        self.drift = drift
        self.deployment = drift.deployment
        self.ask = Instructions(drift.deployment)
        self.key = key or drift.wallet(quote=quote)
        self.owner = str(self.key.pubkey())
        self.tokens = str(ata(self.key.pubkey(), drift.mints[0]))
        self.serial = 0

    def rpc(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = httpx.post(self.drift.url, json=body, trust_env=False, timeout=20).json()
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def read(self, reader, address):
        found = self.rpc("getAccountInfo", address, {"encoding": "base64", "commitment": "confirmed"})
        if found["value"] is None:
            return None
        value = found["value"]
        return reader(self.deployment, address, value["owner"], b64decode(value["data"][0]), found["context"]["slot"])

    def user(self, sub=0):
        return self.read(read_user, self.deployment.user(self.owner, sub))

    def stats(self):
        return self.read(read_user_stats, self.deployment.user_stats(self.owner))

    def spot(self, index=0):
        return self.read(read_spot_market, self.deployment.spot_market(index))

    def perp(self, index=0):
        return self.read(read_perp_market, self.deployment.perp_market(index))

    def markets(self):
        spots = {index: self.spot(index) for index in range(len(self.drift.coins) + 1)}
        return Markets(spots, {index: self.perp(index) for index in range(len(self.drift.perps))})

    def address(self, sub=0):
        return self.deployment.user(self.owner, sub)

    def raw(self, instructions, keys=None, limit=1_400_000):
        self.serial += 1
        lead = [
            Instruction(COMPUTE_BUDGET, b"\2" + limit.to_bytes(4, "little"), []),
            Instruction(COMPUTE_BUDGET, b"\3" + self.serial.to_bytes(8, "little"), []),
        ]
        latest = self.rpc("getLatestBlockhash", {"commitment": "confirmed"})["value"]["blockhash"]
        signers = keys or [self.key]
        from solders.hash import Hash

        message = MessageV0.try_compile(signers[0].pubkey(), [*lead, *instructions], [], Hash.from_string(latest))
        return b64encode(bytes(VersionedTransaction(message, signers))).decode()

    def simulate(self, *instructions):
        return self.rpc("simulateTransaction", self.raw(instructions), {"encoding": "base64", "commitment": "confirmed"})["value"]

    def send(self, *instructions, keys=None, **how):
        """Sent, and looked up again: its events."""
        config = {"encoding": "base64", "preflightCommitment": "confirmed", **how}
        signature = self.rpc("sendTransaction", self.raw(instructions, keys), config)
        return self.events(signature)

    def transaction(self, signature):
        config = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        return self.rpc("getTransaction", signature, config)

    def events(self, signature):
        return list(read_log(self.deployment, self.transaction(signature)["meta"]["logMessages"]).events)

    def open(self, sub=0, name="Main Account"):
        stats = [] if sub else [self.ask.initialize_user_stats(self.owner)]
        return self.send(*stats, self.ask.initialize_user(self.owner, sub, name))

    def deposit(self, amount, sub=0):
        return self.send(self.ask.deposit(self.owner, sub, 0, amount, self.tokens, markets=self.markets(), user=self.user(sub)))

    def withdraw(self, amount, sub=0):
        return self.send(self.ask.withdraw(self.owner, sub, 0, amount, self.tokens, markets=self.markets(), user=self.user(sub)))

    def move(self, amount, source, target):
        ix = self.ask.transfer_deposit(
            self.owner,
            source,
            target,
            0,
            amount,
            markets=self.markets(),
            source_user=self.user(source),
            target_user=self.user(target),
        )
        return self.send(ix)

    def place(self, params, sub=0, **how):
        ix = self.ask.place_perp_order(self.owner, sub, params, markets=self.markets(), user=self.user(sub), **how)
        return self.send(ix)

    def coins(self):
        return self.drift.chain.tokens(Pubkey.from_string(self.owner), self.drift.mints[0])
