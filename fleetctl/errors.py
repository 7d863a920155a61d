"""Every error fleetctl raises on purpose, as one tree.

    FleetctlError                 exit 1   failed, or done in part
    |- UsageError                 exit 2   the request itself is wrong
    |  `- ConfigError                      fleet.toml: path, line, what to write instead
    |- NotFoundError              exit 3   no such host, lease, plan ...
    |- AuthError                  exit 4   the host refuses us
    |  `- HostKeyError                     the host is not who it was
    |- ConflictError              exit 5   somebody else was first, or a guard says no
    |- UnreachableError           exit 6   no answer
    |  `- TimedOutError                    an answer, but not in time
    |- ParseError                 exit 1   an answer that cannot be read
    `- StoreError                 exit 1   the database cannot be used
       |- StoreBusyError                   another writer holds it
       |- StoreReadOnlyError               no right, or no room, to write
       |- StoreCorruptError                the file is damaged
       `- StoreNewerError                  written by a newer fleetctl

A message says what failed and where; `hint` says what to do next. Errors are caught in two places: per host in the
round, where they become data, and at the edge (cli, tui), where they become words.
"""

from __future__ import annotations

from collections.abc import Iterable


class FleetctlError(Exception):
    """Base of all errors that are meant for people. `hint` is the next step, one sentence, may be empty.

    kind: for errors about one host, the value of a `fleetctl.model.report.ErrorKind`; "" for all others.
    """

    exit_code = 1
    kind = ""

    def __init__(self, message: str, *, hint: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.kind = kind or type(self).kind


class UsageError(FleetctlError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class NotFoundError(FleetctlError):
    exit_code = 3


class AuthError(FleetctlError):
    exit_code = 4
    kind = "auth"


class HostKeyError(AuthError):
    kind = "host_key"


class ConflictError(FleetctlError):
    exit_code = 5


class UnreachableError(FleetctlError):
    exit_code = 6
    kind = "unreachable"


class TimedOutError(UnreachableError):
    kind = "timed_out"


class ParseError(FleetctlError):
    pass


class StoreError(FleetctlError):
    pass


class StoreBusyError(StoreError):
    pass


class StoreReadOnlyError(StoreError):
    pass


class StoreCorruptError(StoreError):
    pass


class StoreNewerError(StoreError):
    pass


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The known name most like this one, for a hint; "" when none is. Only a mistake waits for difflib."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")
