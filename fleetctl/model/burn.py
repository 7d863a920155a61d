"""A short burn: a vendor's own test under load, run once on a node that takes no work, before it comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleetctl.model.probe import Output


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a burn found. ok None: it could not test (no rights, no service): that is no pass and no failure."""

    ok: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Burn:
    """One tool and how it is used.

    tool: the program whose presence on the PATH says that this burn can run; command: POSIX sh, run with LC_ALL=C and
    no input; judge: reads what it printed and its exit status, pure, never raises; limit_s: it is stopped then, and
    that counts as a failure; paths: folders appended to the PATH; source: where command and output are described.
    """

    name: str
    tool: str
    command: str
    judge: Callable[[Output], Verdict]
    limit_s: float = 300.0
    paths: tuple[str, ...] = ()
    source: str = ""
