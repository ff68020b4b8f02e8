"""A program that draws nonces until it is killed, and says each one before it draws the next: `drawer.py FILE START_NS`."""

from __future__ import annotations

import os
import sys
import time

from sleeves.keys.nonces import Nonces

if __name__ == "__main__":
    path, start = sys.argv[1], int(sys.argv[2])
    began = time.monotonic_ns()
    nonces = Nonces.open(path, lambda: start + time.monotonic_ns() - began)
    while True:
        os.write(1, b"%d\n" % nonces.draw("main"))
