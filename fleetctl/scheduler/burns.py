"""Which burns a node gets before it comes back, how they are sent, and what their answers mean. Pure.

Vendors declare theirs as data; the host's own is here. The first tool of a vendor that is there is used. A tool that is
not there is "not run", never "passed".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleetctl.model.burn import Burn, Verdict
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.states import Admin
from fleetctl.plugin.loading import load_plugins
from fleetctl.scheduler.checks import Check

ABSENT, ALIVE = 127, 75  # exit status: no such tool; an earlier run of it has not ended
STOPPED = frozenset({124, 137})  # of `timeout`: it did not end by itself
SPARE_S = 30.0  # to start, to be stopped, and to answer
_RESTING = frozenset(
    {Admin.STAGED, Admin.BURN_IN, Admin.DRAINED, Admin.MAINTENANCE, Admin.VERIFY, Admin.QUARANTINED, Admin.RMA}
)


def judge_stress_ng(output: Output) -> Verdict:
    """stress-ng ends with 0 when every stressor passed its own verification, 2 when one failed."""
    if output.exit_status == 0:
        return Verdict(True, "processors and memory held for 30 s")
    bad = re.search(r"(?:fail|error)\b.*", output.stdout + output.stderr, re.IGNORECASE)
    if output.exit_status in (3, 4, 5):  # no resources, not implemented here
        return Verdict(None, f"could not test: exit {output.exit_status}")
    return Verdict(False, bad.group()[:200] if bad else f"exit {output.exit_status}")


HOST_BURN = Burn(
    name="host",
    tool="stress-ng",
    command="stress-ng --cpu 0 --vm 2 --vm-bytes 40% --verify --timeout 30s 2>&1",
    judge=judge_stress_ng,
    limit_s=60.0,
    source="stress-ng(1), EXIT STATUS",
)


@dataclass(frozen=True, slots=True)
class BurnPlan:
    """What one node gets: groups of which the first tool that is there is run; why_not: why it gets none."""

    groups: tuple[tuple[Burn, ...], ...] = ()
    why_not: str = ""

    @property
    def limit_s(self) -> float:
        """Longest time all of it can take."""
        return sum(max(b.limit_s for b in group) for group in self.groups)


def plan_burns(state: Admin, busy: bool | None, vendors: Iterable[str], *, wanted: bool = True) -> BurnPlan:
    """The burns of a node with cards of these vendors; none where work runs or may come, or where nobody wants any."""
    if not wanted:
        return BurnPlan(why_not="left out as asked")
    if state not in _RESTING:
        return BurnPlan(why_not=f"is {state.value.replace('_', ' ')}: a burn is for nodes that take no work")
    if busy is not False:
        return BurnPlan(why_not="work runs there")
    known = {p.name: p.burns for p in load_plugins()[0] if p.burns}
    return BurnPlan((*(known[v] for v in sorted(set(vendors)) if v in known), (HOST_BURN,)))


def burn_script(burn: Burn) -> str:
    """POSIX sh: 127 when the tool is not there, 75 while an earlier run lives, else the tool's own end."""
    path = "".join(f":{folder}" for folder in burn.paths)
    limited = f"timeout -k 10 {int(burn.limit_s)} sh -c {shlex.quote(burn.command)}"
    return f"""export LC_ALL=C PATH="$PATH:/usr/local/bin:/usr/sbin{path}"
command -v {shlex.quote(burn.tool)} >/dev/null 2>&1 || exit {ABSENT}
mkdir -p "$HOME/.fleetctl" && exec 9>"$HOME/.fleetctl/burn.$(cat /proc/sys/kernel/random/boot_id).{burn.name}" || exit 97
if command -v flock >/dev/null 2>&1; then flock -n 9 || exit {ALIVE}; fi
{limited} </dev/null
"""


def read_burn(burn: Burn, output: Output | str) -> Check | None:
    """What a burn came to, as a check; None when its tool is not there and the next may be tried. str: not reached."""
    name = f"burn {burn.tool}"
    if isinstance(output, str):
        return Check(name, None, f"could not be asked: {output}")
    if output.outcome is Outcome.MISSING or output.exit_status == ABSENT:
        return None
    if output.exit_status == ALIVE:
        return Check(name, False, "an earlier burn has not ended: it hangs")
    if output.outcome in (Outcome.TIMEOUT, Outcome.HUNG) or output.exit_status in STOPPED:
        return Check(name, False, f"did not end within {burn.limit_s:g} s")
    if output.outcome is Outcome.LOST:
        return Check(name, None, "the connection ended while it ran")
    verdict = burn.judge(output)
    return Check(name, verdict.ok, verdict.text)


def not_run(plan: BurnPlan, done: Sequence[Check]) -> list[Check]:
    """The burns' part of a return-to-service check, with what was not run and why."""
    if plan.why_not:
        return [Check("burn", None, f"not run: {plan.why_not}", needed=False)]
    if done:
        return list(done)
    tools = ", ".join(b.tool for group in plan.groups for b in group)
    return [Check("burn", None, f"not run: the host has none of {tools}", needed=False)]
