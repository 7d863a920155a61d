"""Commands that run on the hosts of a lease when it begins and ends: what is run, and what its result means.

Pure description here; the engine hands in a `HookRunner` that knows how to reach hosts. The script guards itself on
the host by the id of its step, so that a hook whose result was lost with the engine is not run a second time.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from fleetctl.config.schema import Config, Hooks
from fleetctl.errors import FleetctlError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.lease import HOST_SLOT, WHOLE, Lease
from fleetctl.model.probe import Outcome, Output
from fleetctl.plugin.loading import load_plugins
from fleetctl.scheduler.automation import drain_by_rule
from fleetctl.scheduler.troubles import open_hook_trouble
from fleetctl.store.audit import append_audit
from fleetctl.store.capacity import HostFact, list_host_facts
from fleetctl.store.connections import Connections
from fleetctl.store.leases import free_lease, get_lease, list_ending
from fleetctl.store.scheduler_facts import HookRow, begin_hook, end_hook, list_hooks, retry_hook

HOOKS = Actor(ActorKind.RULE, "hooks")
STILL_RUNNING = 98  # exit status of the guard: an earlier run of this very step has not ended, or was cut off


class HookRunner(Protocol):
    """How a script gets to a host. The engine's runs it over the host's SSH connection."""

    async def run(self, host: str, script: str, *, timeout_s: float) -> Output:
        """Run one POSIX sh script. Raises FleetctlError when the host cannot be reached."""


@dataclass(frozen=True, slots=True)
class HookResult:
    """What one hook came to. failed: its node has to get out of the way."""

    hook: HookRow
    state: str
    note: str

    @property
    def failed(self) -> bool:
        return self.state == "failed"


@cache
def env_templates() -> dict[str, Mapping[str, str]]:
    """Vendor -> variables with {indexes} and {uuids}, as the plugins declare them."""
    return {p.name: p.lease_env for p in load_plugins()[0] if p.lease_env}


def lease_env(
    lease: Lease, host: str, fact: HostFact | None, templates: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, str]:
    """The environment of a lease on one host: who, where, until when, and which cards each vendor's runtime may see."""
    templates = env_templates() if templates is None else templates
    holds = [h for h in lease.holds if h.host == host and h.card != HOST_SLOT]
    env = {
        "FLEETCTL_LEASE": lease.id,
        "FLEETCTL_TENANT": lease.tenant,
        "FLEETCTL_NODELIST": ",".join(lease.hosts),
        "FLEETCTL_NODES": str(len(lease.hosts)),
        "FLEETCTL_NODE_RANK": str(lease.hosts.index(host)),
        "FLEETCTL_CARDS": ",".join(h.index or h.card for h in holds),
        "FLEETCTL_MILLI": ",".join(str(h.milli) for h in holds if h.milli < WHOLE),
        "FLEETCTL_END_AT": "" if lease.end_at is None else str(lease.end_at),
    }
    cards = {c.key: c for c in fact.cards} if fact else {}
    by_vendor: dict[str, list[tuple[str, str]]] = {}
    for hold in holds:
        card = cards.get(hold.card)
        if card is not None and card.vendor is not None and card.vendor in templates:
            by_vendor.setdefault(card.vendor, []).append((hold.index or card.number or "", card.uuid or card.key))
    for vendor, mine in by_vendor.items():
        words = {"indexes": ",".join(i for i, _ in mine), "uuids": ",".join(u for _, u in mine)}
        env.update({name: text.format(**words) for name, text in templates[vendor].items()})
    return {name: value for name, value in env.items() if value}


def hook_script(body: str, step: str, env: Mapping[str, str]) -> str:
    """POSIX sh that runs a hook once per step, however often it is sent, and answers with what it said the first time.

    step: letters, digits, dots and dashes, one per lease, kind and host: many hosts share one home. Keeps its
    marks under ~/.fleetctl/hooks of the user it runs as.
    """
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(env.items()))
    return f"""umask 077
d=$HOME/.fleetctl/hooks; s={step}
mkdir -p "$d" && cd "$d" || exit 97
if [ -f "$s.rc" ]; then cat "$s.out"; exit "$(cat "$s.rc")"; fi
if ! mkdir "$s.run" 2>/dev/null; then echo "an earlier run has not ended, or was cut off"; exit {STILL_RUNNING}; fi
(
{exports}
exec sh -c {shlex.quote(body)}
) >"$s.out" 2>&1 </dev/null
rc=$?
echo "$rc" >"$s.rc.new" && mv "$s.rc.new" "$s.rc" && rmdir "$s.run"
head -c 4096 "$s.out"
exit "$rc"
"""


def judge(hook: HookRow, output: Output | FleetctlError, hooks: Hooks) -> tuple[str, str]:
    """(state, note): done, failed, or pending to try again."""
    tries_left = hook.attempts < hooks.retries
    if isinstance(output, FleetctlError):
        return ("pending" if tries_left else "failed"), str(output)
    text = (output.stdout or output.stderr).strip()[-500:]
    if output.outcome is not Outcome.DONE or output.exit_status is None:
        return ("pending" if tries_left else "failed"), f"{output.outcome.value}: {text}".rstrip(": ")
    if output.exit_status == STILL_RUNNING and tries_left:
        return "pending", text
    if output.exit_status != 0:
        return "failed", f"exit {output.exit_status}: {text}".rstrip(": ")
    return "done", text


@dataclass(frozen=True, slots=True)
class PreparedHook:
    """A hook that is marked running and only has to be sent."""

    hook: HookRow
    script: str
    timeout_s: float


def prepare_hook(db: Connections, config: Config, hook: HookRow, now: int) -> PreparedHook | None:
    """Mark an open hook running; None when somebody else took it, or an earlier run of it is not yet overdue."""
    with db.read() as conn:
        lease = get_lease(conn, hook.lease)
        fact = list_host_facts(conn, [hook.host]).get(hook.host)
    if lease is None or (hook.state == "running" and 0 <= now - (hook.begun_at or 0) < 2 * config.hooks.timeout_s):
        return None
    with db.write(durable=True) as conn:
        if not begin_hook(conn, hook, now):
            return None
    body = config.hooks.prolog if hook.kind == "prolog" else config.hooks.epilog
    begun = replace(hook, state="running", attempts=hook.attempts + 1, begun_at=now)
    script = hook_script(body or ":", f"{hook.lease}-{hook.kind}-{hook.host}", lease_env(lease, hook.host, fact))
    return PreparedHook(begun, script, config.hooks.timeout_s)


def finish_hook(
    db: Connections, config: Config, prepared: PreparedHook, answer: Output | FleetctlError, now: int
) -> HookResult:
    """Keep what a hook came to, once."""
    hook = prepared.hook
    state, note = judge(hook, answer, config.hooks)
    status = answer.exit_status if isinstance(answer, Output) else None
    with db.write(durable=True) as conn:
        if state == "pending":
            retry_hook(conn, hook, note)
        elif end_hook(conn, hook, now, exit_status=status, state=state, note=note):
            append_audit(conn, now, HOOKS, f"{hook.kind}_{state}", hook.lease, {"host": hook.host, "note": note})
    return HookResult(hook, state, note)


async def send_hook(runner: HookRunner, prepared: PreparedHook) -> Output | FleetctlError:
    """What the host answers, or why it does not."""
    try:
        return await runner.run(prepared.hook.host, prepared.script, timeout_s=prepared.timeout_s)
    except FleetctlError as error:
        return error


async def run_hook(db: Connections, config: Config, runner: HookRunner, hook: HookRow, now: int) -> HookResult | None:
    """Run one open hook from beginning to end; None when it was not ours to run."""
    prepared = prepare_hook(db, config, hook, now)
    if prepared is None:
        return None
    return finish_hook(db, config, prepared, await send_hook(runner, prepared), now)


def _open(db: Connections, lease: str) -> list[HookRow]:
    with db.read() as conn:
        return list_hooks(conn, lease=lease)


def open_hooks(db: Connections) -> list[HookRow]:
    """Hooks that wait to be run, prologs before epilogs of the same lease."""
    return _open(db, "")


def finish_ending(db: Connections, now: int) -> list[str]:
    """Free the cards of ending leases whose epilogs are through, well or not; their ids."""
    with db.read() as conn:
        ready = [lease for lease in list_ending(conn) if not list_hooks(conn, lease=lease)]
    freed = []
    for lease in ready:
        with db.write() as conn:
            if free_lease(conn, lease):
                append_audit(conn, now, HOOKS, "free_lease", lease, {})
                freed.append(lease)
    return freed


def node_in_the_way(db: Connections, inventory: Inventory, config: Config, result: HookResult, now: int) -> str:
    """Take the node of a failed hook out of the way: drained by rule, lease kept. Returns why that was not possible."""
    reason = f"{result.hook.kind} of {result.hook.lease} failed: {result.note}"
    with db.write() as conn:
        open_hook_trouble(conn, now, result.hook.host, reason)
    return drain_by_rule(db, inventory, config, result.hook.host, HOOKS, reason, now)
