"""Perpetuals of Drift v2 and of its successor Velocity: their accounts, what happened to them, and a driver that trades.

Needs solders and httpx (extra `velocity`), and never driftpy.
"""
