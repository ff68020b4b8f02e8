"""Accounts made for tests, as bytes: every field of its own value, so that a wrong offset shows. Nothing here is a real account."""

from __future__ import annotations

from itertools import count

from solders.pubkey import Pubkey

from sleeves.venues.drift.words import name_bytes

AUTHORITY = str(Pubkey(bytes(range(32))))
OTHER = str(Pubkey(bytes(range(100, 132))))
SMALL = {"u8": 100, "i8": 100, "u16": 10_000, "i16": 10_000}


def numbered(layout, start=1):
    """A record of a layout in which no two numbers of the wider kinds are alike."""
    turn = count(start)

    def fill(part):
        record = {}
        for one in part.fields:
            if one.of is not None:
                record[one.name] = [fill(one.of) for _ in range(one.count)] if one.many else fill(one.of)
            elif one.kind == "bytes":
                record[one.name] = bytes(one.size)
            elif one.kind == "key":
                record[one.name] = str(Pubkey(next(turn).to_bytes(32, "big")))
            elif one.kind in ("u8", "i8"):
                record[one.name] = 0
            else:
                record[one.name] = next(turn) % SMALL.get(one.kind, 10**9)
        return record

    return fill(layout)


def user(deployment, authority=AUTHORITY, sub=3, perps=(0, 1, 7), spots=(0, 1, 7), orders=(0, 1, 31)):
    """A User that stands in the slots that are named, each with a market of its own number, and nowhere else."""
    codec = deployment.codec("User")
    blank, full = codec.blank(), numbered(deployment.layout("User"))
    record = dict(full)
    for table, slots in (("spot_positions", spots), ("perp_positions", perps), ("orders", orders)):
        record[table] = list(blank[table])
        for slot in slots:
            one = dict(full[table][slot])
            if table == "orders":
                one |= {"status": 1, "order_type": 1, "market_type": 1, "direction": slot % 2, "order_id": 1_000 + slot}
                one["base_asset_amount_filled"] = one["base_asset_amount"] - 7
            else:
                one |= {"open_asks": -one["open_asks"], "market_index": 20 + slot, "open_orders": slot % 3}
            for name in ("isolated_position_scaled_balance", "lp_shares", "last_quote_asset_amount_per_lp"):
                if name in one:
                    one[name] = 0
            record[table][slot] = one
    record |= {"authority": authority, "sub_account_id": sub, "name": name_bytes("sleeve alpha"), "open_orders": len(orders)}
    return record


def stats(deployment, authority=AUTHORITY):
    return numbered(deployment.layout("UserStats")) | {"authority": authority}


def spot_market(deployment, index=1):
    told = {"pubkey": deployment.spot_market(index), "vault": deployment.spot_vault(index), "market_index": index, "decimals": 6}
    told |= {"oracle_source": 12, "status": 1, "name": name_bytes("SOL"), "asset_tier": 1}
    return numbered(deployment.layout("SpotMarket")) | told


def perp_market(deployment, index=0):
    record = numbered(deployment.layout("PerpMarket"))
    record |= {"pubkey": deployment.perp_market(index), "market_index": index, "status": 1, "name": name_bytes("SOL-PERP")}
    home = record if "oracle_source" in record else record["amm"]
    home["oracle_source"] = 12
    return record


def state(deployment):
    return numbered(deployment.layout("State")) | {"signer": deployment.signer(), "exchange_status": 5}


def lazer(deployment, price=150_123_456_78, exponent=-8, conf=1_234_567, posted=1_000, at=1_750_772_057_200_000):
    told = {"price": price, "exponent": exponent, "conf": conf, "posted_slot": posted, "publish_time": at}
    codec = deployment.codec("PythLazerOracle")
    return codec.encode(codec.blank() | told)


def encoded(deployment, kind, record):
    return deployment.codec(kind).encode(record)
