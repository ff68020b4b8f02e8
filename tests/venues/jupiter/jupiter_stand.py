"""A chain, a node, a Jupiter and a block engine on sockets of this machine, a wallet on it, and drivers for that wallet."""

from __future__ import annotations

import time
from contextlib import contextmanager
from decimal import Decimal

import anyio
from attrs import define, field
from solders.keypair import Keypair

from sleeves.amm import ConstantProduct, Outside
from sleeves.facts import FlowKind
from sleeves.keys import Secret
from sleeves.money import SOL, USDC, Asset
from sleeves.orders import Order, Place, Side
from sleeves.testing.jito_server import JitoServer, jito_server
from sleeves.testing.jupiter_server import WSOL, Amm, JupiterServer, jupiter_server
from sleeves.testing.solana_server import Chain, Fault, SolanaServer, solana_server
from sleeves.venues.jito import Jito
from sleeves.venues.jupiter import TOKENS, Jupiter, JupiterApi, Market, Rpc, Signer, Token
from sleeves.venues.retry import Retry

JITOSOL = Asset("JitoSOL", 9)
PER_SOL = 10**9
FAST = Retry(attempts=3, first=0.01, most=0.02, jitter=0)


@define
class Stand:
    """The world of one test. Amounts are in raw units."""

    chain: Chain
    node: SolanaServer
    jupiter: JupiterServer
    engine: JitoServer
    key: Keypair
    usdc: Token
    jitosol: Token
    n: int = 0
    terms: dict = field(factory=dict)

    @property
    def wallet(self):
        return self.key.pubkey()

    def market(self, symbol="SOL/USDC", **terms):
        return Market.of(symbol, TOKENS["SOL"], self.usdc, **terms)

    def driver(self, *markets, jito=False, api=None, **terms):
        """A driver of the wallet; prices only when they are asked for."""
        terms = {"quote_every": None, "poll_s": 0.02, "resend_s": 0.1, "aside": "0", **self.terms, **terms}
        return Jupiter(
            Signer(Secret(str(self.key))),
            markets or (self.market(),),
            rpc=Rpc(self.node.url, retry=FAST),
            api=api or JupiterApi(self.jupiter.url, per_second=10_000, attempts=1),
            jito=Jito(self.engine.url, floor_url=self.engine.url, per_second=10_000, attempts=1) if jito else None,
            **terms,
        )

    def order(self, market, side, qty, *, worst=None, **terms):
        """An order of the sleeve `suite`; a buy without a bound may cost a tenth more than was told."""
        self.n += 1
        instrument = market.instrument
        if isinstance(terms.get("limit"), str):
            terms["limit"] = instrument.round_price(terms["limit"])
        place = Place(instrument, side, instrument.qty(qty), **terms)
        bound = instrument.round_price(worst) if isinstance(worst, str) else worst
        return Order(f"suite-{self.n}", "suite", place, time.time_ns(), bound)

    def buy(self, market, qty, **terms):
        return self.order(market, Side.BUY, qty, **terms)

    def sell(self, market, qty, **terms):
        return self.order(market, Side.SELL, qty, **terms)

    def holds(self):
        """What the chain says that the wallet has, in raw units: SOL with what is wrapped of it, USDC, JitoSOL."""
        sol = self.chain.balance(self.wallet) + self.chain.tokens(self.wallet, WSOL)
        return sol, *(self.chain.tokens(self.wallet, mint(one)) for one in (self.usdc, self.jitosol))

    def sent(self):
        """How often transactions were handed in, through the node and as bundles."""
        return len(self.node.asked("sendTransaction")), len(self.engine.asked("sendBundle"))


def mint(token):
    return type(WSOL).from_string(token.mint)


def pool(price, *, base=10_000, fee_ppm=400):
    """A pool of SOL against USDC at a price."""
    return ConstantProduct(base * PER_SOL, int(base * Decimal(price) * 10**6), fee_ppm)


def flat(price, *, fee_ppm=0):
    """A market that any size trades on at one price."""
    return Outside(10**9 * PER_SOL, 10**12 * 10**6, round(price * 10**6), PER_SOL, fee_ppm)


@contextmanager
def stand(*, sol="10", usdc="10000", pools=None, jupiter=None, engine=None, chain=None, **terms):
    chain = Chain() if chain is None else chain
    key = Keypair()
    usdc_mint, jito_mint = chain.create_mint(6), chain.create_mint(9)
    chain.airdrop(key.pubkey(), SOL(sol).units)
    if USDC(usdc).units:
        chain.mint_to(usdc_mint, key.pubkey(), USDC(usdc).units)
    amms = [Amm(label, WSOL, usdc_mint, one) for label, one in (pools or {"Raydium": pool(150), "Orca Whirlpool": pool("150.02")}).items()]
    amms.append(Amm("Sanctum", jito_mint, WSOL, ConstantProduct(1_000 * PER_SOL, 1_150 * PER_SOL, 100)))
    with (
        solana_server(chain) as node,
        jupiter_server(chain, amms, **(jupiter or {})) as router,
        jito_server(chain, **(engine or {})) as block_engine,
    ):
        tokens = Token(USDC, str(usdc_mint)), Token(JITOSOL, str(jito_mint))
        yield Stand(chain, node, router, block_engine, key, *tokens, terms=terms)


def told(venue):
    """What the driver has told and nobody has read yet."""
    events = []
    while True:
        try:
            events.append(venue._inbox.receive_nowait())
        except anyio.WouldBlock:
            return events


def of(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


def run(story, backend="asyncio", *, markets=None, driver=None, **terms):
    """A story with a stand and an open driver of its wallet, prices told once."""
    with stand(**terms) as s:
        made = markets(s) if markets is not None else (s.market(),)

        async def main():
            with anyio.fail_after(20):
                async with s.driver(*made, **(driver or {})) as venue:
                    await venue.refresh()
                    return await story(s, venue, *made)

        return anyio.run(main, backend=backend)


def summed(flows):
    sums = {}
    for line in flows:
        sums[line.amount.asset.code] = sums.get(line.amount.asset.code, 0) + line.amount.units
    return {code: units for code, units in sums.items() if units}


async def check_books(s, venue, before):
    """What the ledger's lines sum to is what the chain moved; what was told is what history tells, also to one who never heard it."""
    after = s.holds()
    moved = dict(zip(("SOL", "USDC", "JitoSOL"), (now - was for was, now in zip(before, after, strict=True)), strict=True))
    codes = set(await venue.balances())
    flows = await venue.cash_flows(0)
    assert summed(flows) == {code: units for code, units in moved.items() if units and code in codes}
    names = [line.id for line in flows]
    assert len(set(names)) == len(names)
    history = await venue.history(0)
    keys = {fill.key for fill in history}
    assert all(line.ref in keys for line in flows if line.kind in (FlowKind.TRADE,) and line.ref)
    async with s.driver(*venue.markets) as other:
        assert list(await other.history(0)) == list(history), "a driver that was restarted tells the same facts"
        assert list(await other.cash_flows(0)) == list(flows)
    return history


async def meanwhile(s, venue, order, happens):
    """An order whose transaction is on its way when something happens, and lands after it."""
    sent = len(s.node.asked("sendTransaction"))
    s.node.fault("sendTransaction", Fault.late(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(venue.submit, order)
        while len(s.node.asked("sendTransaction")) == sent:
            await anyio.sleep(0.01)
        happens()
        s.chain.advance(1)
