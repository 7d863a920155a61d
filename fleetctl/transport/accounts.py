"""Keeps one refused account from being refused ten thousand times: a directory that counts failures locks it."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.errors import AuthError
from fleetctl.transport.target import Target

REFUSED_IN_A_ROW = 10  # hosts of one site that refuse one user, without one that accepts it
PAUSE_S = 60.0  # then one host is tried per pause until one accepts


@dataclass(slots=True)
class _Account:
    refused: int = 0
    next_at: float = float("-inf")


class AccountGuard:
    """Per site and user: refusals since the last success. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], _Account] = {}

    def check(self, target: Target, now: float) -> None:
        """Raises AuthError when this account is paused; otherwise the caller may try, and reports the result."""
        account = self._accounts.get((target.site, target.user))
        if account is None or account.refused < REFUSED_IN_A_ROW:
            return
        if now < account.next_at:
            raise AuthError(
                f"{target.name}: not tried, because the last {account.refused} hosts of site {target.site} refused user "
                f"{target.user}",
                hint=f"one host is tried every {PAUSE_S:g} s; is the right key in the agent? {target.command}",
            )
        account.next_at = now + PAUSE_S

    def refused(self, target: Target, now: float) -> None:
        account = self._accounts.setdefault((target.site, target.user), _Account())
        account.refused += 1
        if account.refused == REFUSED_IN_A_ROW:
            account.next_at = now + PAUSE_S

    def accepted(self, target: Target) -> None:
        self._accounts.pop((target.site, target.user), None)
