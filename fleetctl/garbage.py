"""When Python's garbage collector looks: what a fleet is made of lives long and is in no circle.

Reference counts free nearly all of it. Looking for circles among it costs a tenth of `status`, a sixth of the facility
lane, and stops an event loop with 12,500 connections for 0.7 s.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_OBJECTS = 50_000  # Python's own 700 is looked at twenty times while one batch of readings lives


def look_less() -> None:
    """For every process of ours, at its start."""
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def freeze() -> None:
    """Once after the fleet is connected, and after many hosts came back.

    What lives now is left out of all later looks; what dies all the same is freed by its reference count, circles are not.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def at_rest() -> Iterator[None]:
    """For a quarter of a million small objects that all stay: looking in between finds nothing."""
    looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looking:
            gc.enable()
