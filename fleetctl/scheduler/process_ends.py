"""Ends processes without a lease on cards whose drain is past its deadline: TERM, and KILL once their grace is over.

A pass over one host is one script. The first only looks: which process is that number, of which boot, started when.
That is stored and in the decision record before anything is sent, and only a process of that very boot, number and
start is ever signalled. What was sent and when stands on the host, by its own clock, so a pass that is repeated after a
crash of the engine sends nothing twice and shortens nobody's grace. Pure description here; the engine brings the way.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fleetctl.config.schema import Config
from fleetctl.errors import FleetctlError
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.states import Reach
from fleetctl.scheduler.hooks import HookRunner
from fleetctl.scheduler.picture import Picture, load_picture
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.plans import ends_processes
from fleetctl.store.process_ends import (
    DueProcess,
    EndState,
    ProcessEnd,
    forget_processes,
    insert_process_ends,
    list_due_processes,
    list_process_ends,
    set_process_end,
)
from fleetctl.store.scheduler_facts import get_fact

DRAINER = Actor(ActorKind.RULE, "drainer")
PASS_TIMEOUT_S = 20.0
AT_ONCE = 200  # processes of one host in one pass; the rest comes with the next
YOUNGER_S = 2  # clocks are cut to whole seconds, and a tool takes its time; no host gives a number anew so soon
_TEXT = 200  # characters kept of a command line

_STATES = {
    "TERM": EndState.TOLD,
    "waits": EndState.TOLD,
    "KILL": EndState.KILLED,
    "gone": EndState.GONE,
    "refused": EndState.REFUSED,
}


@dataclass(frozen=True, slots=True)
class PreparedPass:
    """One pass over one host, ready to be sent. due: what is to go; known: those of it that are named exactly."""

    host: str
    at: int
    due: tuple[DueProcess, ...]
    known: tuple[ProcessEnd, ...]
    script: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host says of one number: a live process. started: ticks after boot; started_s: the same in seconds; age_s:
    by the host's own clock."""

    pid: int
    started: int
    started_s: float
    age_s: float
    user: str
    name: str
    command: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pass came to. none: numbers nobody has; said: (pid, started) -> word and text."""

    boot_id: str
    seen: tuple[Seen, ...]
    none: frozenset[int]
    said: dict[tuple[int, int], tuple[str, str]]


def pass_script(look: Sequence[int], end: Sequence[ProcessEnd], *, grace_s: float, prefix: str = "") -> str:
    """POSIX sh for one pass over one host.

    look: numbers of which is asked who they are; end: processes that get TERM, and KILL when they are still there
    grace_s after it. Answers in lines of tab-separated words. Keeps its marks under ~/.fleetctl/ends of the user it
    runs as, named by boot, process and plan: a home that hosts share is no trouble, nor is a repeated pass.
    """
    calls = [f"look {pid}" for pid in look]
    calls += [f"end {p.pid} {p.started} {shlex.quote(p.boot_id)} {shlex.quote(p.plan)}" for p in end]
    return f"""export LC_ALL=C; umask 077
d=$HOME/.fleetctl/ends; mkdir -p "$d" && cd "$d" || exit 97
find . -type f -mtime +30 -exec rm -f {{}} + 2>/dev/null
b=$(cat /proc/sys/kernel/random/boot_id) && read -r up rest </proc/uptime || exit 96
hz=$(getconf CLK_TCK 2>/dev/null || echo 100); up=${{up%.*}}
printf 'boot\\t%s\\t%s\\t%s\\n' "$b" "$up" "$hz"
stat_of() {{ # st: state; up_ticks: start; parent. The name may hold anything, so what follows its last bracket counts
  s=$(cat "/proc/$1/stat" 2>/dev/null) && [ -n "$s" ] || return 1
  set -- ${{s##*) }}; st=$1 parent=$2 began=${{20}}
}}
look() {{
  if ! stat_of "$1"; then
    case $(kill -0 "$1" 2>&1) in *o\\ such\\ process*) printf 'none\\t%s\\n' "$1" ;; esac
    return 0
  fi
  [ "$1" -gt 2 ] && [ "$parent" -ne 2 ] && [ "$st" != Z ] || return 0
  u=$(stat -c %U "/proc/$1" 2>/dev/null); c=$(tr '\\000\\n\\t' '   ' 2>/dev/null <"/proc/$1/cmdline" | cut -c1-{_TEXT})
  n=$(tr '\\n\\t' '  ' 2>/dev/null <"/proc/$1/comm")
  printf 'seen\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$1" "$began" "$u" "$n" "$c"
}}
end() {{
  p=$1 t=$2; m=$3-$1-$2-$4
  if [ "$b" != "$3" ]; then say gone; return; fi
  if ! stat_of "$p"; then
    case $(kill -0 "$p" 2>&1) in *ermitted*) say refused "hidden from this user"; return ;; esac
    rm -f "$m"; say gone; return
  fi
  if [ "$began" != "$t" ] || [ "$st" = Z ]; then rm -f "$m"; say gone; return; fi
  if (set -C; echo "$up" >"$m") 2>/dev/null; then send TERM; return; fi
  if [ ! -f "$m" ]; then say refused "no marks can be kept in $d"; return; fi
  at=; read -r at <"$m"
  [ -n "$at" ] || {{ echo "$up" >"$m"; at=$up; }}
  if [ $((up - at)) -lt {int(grace_s)} ]; then say waits "$((up - at)) s"; return; fi
  send KILL "$st"
}}
send() {{
  if e=$({prefix} kill -"$1" "$p" 2>&1); then say "$1" "$2"; return; fi
  case $e in *o\\ such\\ process*) rm -f "$m"; say gone ;; *) [ "$1" != TERM ] || rm -f "$m"; say refused "$e" ;; esac
}}
say() {{ printf '%s\\t%s\\t%s\\t%s\\n' "$1" "$p" "$t" "$(printf %s "$2" | tr '\\n\\t' '  ' | cut -c1-{_TEXT})"; }}
{chr(10).join(calls)}
exit 0
"""


def read_answer(text: str) -> Answer:
    """What a pass printed. Lines that do not fit are read past: what nobody said did not happen."""
    boot_id, up, hz = "", 0.0, 100.0
    seen: list[Seen] = []
    none: set[int] = set()
    said: dict[tuple[int, int], tuple[str, str]] = {}
    for line in text.splitlines():
        word, *rest = line.split("\t")
        try:
            if word == "boot":
                boot_id, up, hz = rest[0], float(rest[1]), float(rest[2]) or 100.0
            elif word == "seen" and boot_id:
                pid, started = int(rest[0]), int(rest[1])
                seen.append(Seen(pid, started, started / hz, up - started / hz, *(_plain(x) for x in rest[2:5])))
            elif word == "none" and boot_id:
                none.add(int(rest[0]))
            elif word in _STATES and boot_id:
                said[int(rest[0]), int(rest[1])] = word, _plain(rest[2])
        except (ValueError, IndexError, TypeError):
            continue
    return Answer(boot_id, tuple(seen), frozenset(none), said)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:_TEXT]


def may_end(picture: Picture, due: DueProcess) -> bool:
    """Is the process what this drain waits for? A lease, or a job of another scheduler, is ended by its own way first."""
    fact = picture.facts.get(due.host)
    if fact is None or fact.reach in (Reach.UNREACHABLE, Reach.UNKNOWN):
        return False  # nothing can be sent, and what was seen there is old
    if picture.leases(due.host, due.card or None):
        return False
    outside = picture.outside.get(due.host)
    if outside is not None and outside.busy is not False:
        return False
    if due.card:
        return picture.card_record(due.host, due.card).version == due.version
    return picture.record(due.host).version == due.version


def prepare_passes(
    db: Connections, config: Config, now: int, *, leave: Collection[str] = (), limit: int = 64
) -> list[PreparedPass]:
    """What to send where, at most to `limit` hosts; leave: hosts that are not looked at this time.

    What was named and is not wanted any more (undone, resumed, off its card) is closed here, untouched.
    """
    if not config.scheduling.drain_waits_for_processes:
        return []
    with db.read() as conn:
        due = list_due_processes(conn, now, config.scheduling.drain_ignores)
        known = list_process_ends(conn)
        if not due and not known:
            return []
        picture = load_picture(conn, config, now, only=())
        asked = {plan: ends_processes(conn, plan) for plan in {d.plan for d in due}}
        believed = (get_fact(conn, "clock") or {}).get("suspect") is None
    by_host: dict[str, dict[int, DueProcess]] = {}
    for one in due:  # a node's own drain comes before one of its cards: each process is told once
        if one.host not in leave and asked[one.plan] and may_end(picture, one):
            by_host.setdefault(one.host, {}).setdefault(one.pid, one)
    named: dict[str, list[ProcessEnd]] = {}
    for end in known:
        if end.host not in leave:
            named.setdefault(end.host, []).append(end)
    # One that is due but cannot be ended now (its host is silent) stays as it is: what became of it is not known.
    wanted = {(d.host, d.pid, d.plan) for d in due}
    over = [p for ends in named.values() for p in ends if (p.host, p.pid, p.plan) not in wanted]
    if over:
        with db.write(durable=True) as conn:
            for end in over:
                set_process_end(
                    conn, end, EndState.LEFT, now, "on no drained card any more, or the drain was taken back"
                )
    if not believed:  # until the time is believed, nobody is ended on its strength
        return []
    return [_pass(config, host, by_host[host], named.get(host, []), now) for host in sorted(by_host)[:limit]]


def _pass(config: Config, host: str, due: dict[int, DueProcess], named: list[ProcessEnd], now: int) -> PreparedPass:
    mine = [p for p in named if p.pid in due and due[p.pid].plan == p.plan][:AT_ONCE]
    look = sorted(due.keys() - {p.pid for p in mine})[:AT_ONCE]
    settings = config.scheduling
    script = pass_script(look, mine, grace_s=settings.drain_grace_s, prefix=settings.kill_prefix)
    return PreparedPass(host, now, tuple(due.values()), tuple(mine), script)


async def send_pass(runner: HookRunner, prepared: PreparedPass) -> Output | FleetctlError:
    """What the host answers, or why it does not."""
    try:
        return await runner.run(prepared.host, prepared.script, timeout_s=PASS_TIMEOUT_S)
    except FleetctlError as error:
        return error


def finish_pass(
    db: Connections, config: Config, prepared: PreparedPass, output: Output | FleetctlError, now: int
) -> bool:
    """Keep what a pass came to, with its audit entries. True when more is to be sent at once."""
    trouble = _trouble(output)
    answer = read_answer(output.stdout) if isinstance(output, Output) and not trouble else None
    if answer is None or not answer.boot_id:
        _note_trouble(db, prepared, trouble or "its answer could not be read", now)
        return False
    found = _found(prepared, answer, config.scheduling.drain_ignores, now)
    with db.write(durable=True) as conn:
        if found:
            insert_process_ends(conn, found)
            body = {
                "processes": [{"pid": p.pid, "user": p.user, "command": p.command, "started": p.started} for p in found]
            }
            append_audit(conn, now, DRAINER, "end_processes", prepared.host, {"plan": found[0].plan, **body})
        # What the host itself calls gone need not be waited for until a slow tool is asked again.
        gone = answer.none | {pid for (pid, _started), (word, _text) in answer.said.items() if word == "gone"}
        forget_processes(conn, prepared.host, gone - {s.pid for s in answer.seen})
        moved: dict[str, list[int]] = {}
        for end in prepared.known:
            word, text = answer.said.get((end.pid, end.started), ("", ""))
            state = _STATES.get(word, end.state)
            if state is EndState.TOLD and end.state is EndState.KILLED:
                state = end.state
            note = f"in state {text}: it does not end" if word == "KILL" and text in ("D", "t", "T") else text
            note = "" if word == "waits" or (word == "KILL" and note == text) else note
            if (state, note) == (end.state, end.note) or not set_process_end(conn, end, state, now, note):
                continue
            if state is not end.state:
                moved.setdefault(state.value, []).append(end.pid)
        if moved:
            append_audit(conn, now, DRAINER, "process_end", prepared.host, {"plan": prepared.known[0].plan, **moved})
    return bool(found)


def _trouble(output: Output | FleetctlError) -> str:
    if isinstance(output, FleetctlError):
        return str(output)
    if output.outcome is not Outcome.DONE:
        return f"the host did not finish: {output.outcome.value}"
    if output.exit_status:
        said = (output.stderr or output.stdout).strip()[-_TEXT:]
        return f"exit {output.exit_status}: {said}"
    return ""


def _note_trouble(db: Connections, prepared: PreparedPass, why: str, now: int) -> None:
    """A host that does not answer is not done: its processes stay as they were last known, with the reason."""
    changed = [p for p in prepared.known if p.note != why]
    if changed:
        with db.write() as conn:
            for end in changed:
                set_process_end(conn, end, end.state, now, why)


def _found(prepared: PreparedPass, answer: Answer, ignored: Collection[str], now: int) -> list[ProcessEnd]:
    """Processes that are surely those that were seen on the cards: they are as old as that sighting, or older.

    By the host's uptime, which no clock step moves, and by ours, which a reboot of the host does not set back.
    """
    by_pid = {d.pid: d for d in prepared.due}
    named = {p.pid for p in prepared.known}
    found = []
    for seen in answer.seen:
        due = by_pid.get(seen.pid)
        if due is None or due.pid in named or seen.name in ignored:
            continue
        if due.seen_up_s is None or seen.started_s > due.seen_up_s + YOUNGER_S:
            continue  # the number went to another process since, or nobody can tell
        if seen.age_s + YOUNGER_S < prepared.at - due.seen_at:
            continue  # likewise, in another boot
        found.append(
            ProcessEnd(
                plan=due.plan,
                host=due.host,
                card=due.card,
                boot_id=answer.boot_id,
                pid=seen.pid,
                started=seen.started,
                user=seen.user or due.user or "",
                command=seen.command or seen.name or due.name or "",
                state=EndState.FOUND,
                found_at=now,
                changed_at=now,
            )
        )
    return found
