"""A piece of loopback for one run of the suite, so that two runs at once never meet on an address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

# The bed of OpenSSH hosts draws its own from 64 to 123; low ports belong to root, ports from 32768 to connections.
_PIECES = range(124, 255)
_CLAIM_PORT = 21_077


@contextmanager
def own_net() -> Iterator[str]:
    """`127.N`, ours until the end: every port of 127.N.x.y is free. Whoever holds its first address holds all of it."""
    for piece in _PIECES:
        with socket.socket() as claim:
            try:
                claim.bind((f"127.{piece}.0.1", _CLAIM_PORT))
            except OSError:
                continue
            yield f"127.{piece}"
            return
    raise AssertionError("every piece of loopback is taken: end the other runs of this suite")
