"""What the account we use may do in Slurm, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fleetctl.scheduler.backend import Advice, Capability
from fleetctl_slurm.script import Part

# No pipes: each word is one argument. Without slurmdbd sacctmgr answers at once that there is none.
RIGHTS_COMMANDS: Mapping[str, Sequence[str]] = {
    "who": ("id", "-un"),
    "uid": ("id", "-u"),
    "config": ("scontrol", "show", "config"),
    "level": ("sh", "-c", 'exec sacctmgr -n -P show user "$(id -un)" format=adminlevel'),
}
_ALL = frozenset({Capability.DRAIN, Capability.RESUME, Capability.RESERVE, Capability.SUBMIT, Capability.CANCEL})
_OPERATOR = frozenset({Capability.RESERVE, Capability.SUBMIT, Capability.CANCEL})
_USER = frozenset({Capability.SUBMIT, Capability.CANCEL})  # cancel: its own jobs


@dataclass(frozen=True, slots=True)
class Rights:
    """Who we are there and what follows from it. why: in words; accounting: has the cluster slurmdbd, None: not told."""

    user: str
    why: str
    capabilities: frozenset[Capability]
    accounting: bool | None = None

    def advice(self) -> list[Advice]:
        """For `doctor`: what may be asked, and how to get the rest."""
        able = ", ".join(sorted(self.capabilities)) or "nothing"
        found = [Advice("ok", f"as {self.user or 'unknown user'} ({self.why}): {able}")]
        if Capability.DRAIN not in self.capabilities:
            found.append(
                Advice(
                    "warn",
                    "may not drain or resume there: Slurm wants root, SlurmUser or AdminLevel=Administrator",
                    'sacctmgr modify user ... set adminlevel=Administrator; or prefix = "sudo -n" and a sudo rule for'
                    " `scontrol update nodename=* state=drain *` and `scontrol update nodename=* state=resume`",
                )
            )
        return found


def read_rights(parts: Mapping[str, Part], *, prefix: str) -> Rights:
    """Rights of the account, least first. Pure; unknown counts as a plain user."""
    config = parts.get("config", Part()).out
    kind = re.search(r"^AccountingStorageType\s*=\s*(\S+)", config, re.MULTILINE)
    accounting = kind[1].endswith("slurmdbd") if kind else None
    return replace(_rights(parts, config, prefix), accounting=accounting)


def _rights(parts: Mapping[str, Part], config: str, prefix: str) -> Rights:
    user = parts.get("who", Part()).out.strip()[:80]
    uid = parts.get("uid", Part()).out.strip()
    match = re.search(r"^SlurmUser\s*=\s*(\S+?)\((\d+)\)", config, re.MULTILINE)
    if uid == "0":
        return Rights(user, "root", _ALL)
    if match is not None and uid == match[2]:
        return Rights(user, "SlurmUser", _ALL)
    level = parts.get("level", Part()).out.strip().lower()
    if level.startswith("admin"):
        return Rights(user, "AdminLevel=Administrator", _ALL)
    if prefix:
        return Rights(user, f"through {prefix.split()[0]}", _ALL)
    if level.startswith("oper"):
        return Rights(user, "AdminLevel=Operator", _OPERATOR)
    return Rights(user, "plain user", _USER)
