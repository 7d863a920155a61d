"""Builds a Plan: who, which steps, what is skipped and why, what is hit, what is left. Reads, never writes."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from fleetctl.config.schema import Config
from fleetctl.errors import UsageError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, ActorKind, DrainMode, Reason, Wish
from fleetctl.model.host import Host
from fleetctl.model.plan import CapacityLeft, Plan, PlanNode
from fleetctl.model.reading import Process
from fleetctl.model.states import Admin, Reach
from fleetctl.scheduler.carry_out import EMPTYING, is_harder
from fleetctl.scheduler.guards import check_guards, confirm_count
from fleetctl.scheduler.picture import Picture, load_picture
from fleetctl.scheduler.power import freed_by_feed
from fleetctl.scheduler.states import BY_VERB, derive, is_there, why_not
from fleetctl.store.capacity import count_cards, count_stray_cards, latest_power, list_work
from fleetctl.store.connections import Connections
from fleetctl.store.plans import ends_processes

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def new_id(kind: str) -> str:
    """A short id that people can say: kind letter, dash, eight letters (40 bits)."""
    return kind + "-" + "".join(secrets.choice(_LETTERS) for _ in range(8))


def build_plan(
    db: Connections,
    inventory: Inventory,
    verb: str,
    nodes: str | Iterable[str],
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    reason: Reason | None = None,
    mode: DrainMode = DrainMode.WAIT,
    deadline_at: float | None = None,
    start_at: float | None = None,
    end_at: float | None = None,
    expected_return_at: float | None = None,
    ticket: str = "",
    evidence: str = "",
    cards: Sequence[str] = (),
    take_over: bool = False,
    keep_processes: bool = False,
) -> Plan:
    """The plan of one verb over a node set (or host names).

    cards: indexes or keys; then only these cards of the nodes move. Raises UsageError for times that make no sense,
    NotFoundError for unknown nodes and cards. Guards do not raise here: their refusals stand in the plan.
    """
    config = config or Config()
    at = int(now)
    transition = BY_VERB[verb]
    hosts = _hosts(inventory, nodes)
    _check_times(at, mode, deadline_at, start_at, end_at)
    with db.read() as conn:
        picture = load_picture(conn, config, at, only=[h.name for h in hosts])
        power = latest_power(conn)
        chips = count_cards(conn)
        waits, ignored = config.scheduling.drain_waits_for_processes, config.scheduling.drain_ignores
        stray = count_stray_cards(conn, ignored) if waits else {}
        ending = mode is not DrainMode.WAIT and transition.wish in EMPTYING and not keep_processes
        ending = ending and waits
        work = (
            {h.name: list_work(conn, h.name, ignored) for h in hosts if h.name in picture.processes} if ending else {}
        )
        records = [picture.record(h.name) for h in hosts] + [r for r in picture.card_records.values() if cards]
        in_force = {r.plan for r in records if r.plan} if ending else set()
        kept = {plan for plan in in_force if not ends_processes(conn, plan)}
    included: list[PlanNode] = []
    skipped: list[PlanNode] = []
    for host in hosts:
        if cards:
            node = _card_node(host, picture, transition.wish, cards, mode, deadline_at, kept)
        else:
            record = picture.record(host.name)
            harder = is_harder(record, mode, deadline_at) or record.plan in kept
            node = _node(host, picture, verb, transition.wish, who, take_over, harder, power)
        if host.name in work and not node.skip:
            node = replace(node, to_end=_to_end(node, work[host.name]))
        (skipped if node.skip else included).append(node)
    leaving = [n.host for n in included if not n.cards and n.after is not Admin.IN_SERVICE]
    out = picture.out_of_service()
    going = [n for n in included if n.host in leaving and n.host not in out]
    freed = [n.power_w for n in going]
    return Plan(
        id=new_id("p"),
        verb=verb,
        wish=transition.wish,
        created_at=at,
        nodes=tuple(included),
        skipped=tuple(skipped),
        reason=reason,
        mode=mode,
        start_at=None if start_at is None else int(start_at),
        end_at=None if end_at is None else int(end_at),
        deadline_at=None if deadline_at is None else int(deadline_at),
        expected_return_at=None if expected_return_at is None else int(expected_return_at),
        ticket=ticket,
        evidence=evidence,
        guards=check_guards(inventory, config, out, leaving) if leaving else (),
        capacity=capacity_left(inventory, picture, included, chips, stray),
        power_freed_w=sum(p for p in freed if p is not None) if any(p is not None for p in freed) else None,
        power_freed_by_feed_w=tuple(
            freed_by_feed(config, inventory, {n.host: n.power_w for n in going if n.power_w is not None}).items()
        ),
        confirm_count=confirm_count(inventory, config, leaving) if leaving else None,
        steps=_steps(verb, transition.wish, included, mode, start_at is not None, cards, ending, config),
        warnings=_warnings(included, mode, ending, freed),
        take_over=take_over,
        end_processes=ending,
    )


def _hosts(inventory: Inventory, nodes: str | Iterable[str]) -> list[Host]:
    if isinstance(nodes, str):
        found = inventory.select(nodes)
    else:
        names = list(nodes)
        found = inventory.select(",".join(names)) if names else []
    if not found:
        raise UsageError("no nodes were named", hint="name them as a node set, for example gpu[001-008] or @rack12")
    return list({h.name: h for h in found}.values())


def _check_times(
    now: int, mode: DrainMode, deadline_at: float | None, start_at: float | None, end_at: float | None
) -> None:
    begin = now if start_at is None else start_at
    if mode is DrainMode.DEADLINE and deadline_at is None:
        raise UsageError(
            "a drain with a deadline needs the deadline", hint="--deadline 2h or --deadline 2026-01-31T22:00"
        )
    if deadline_at is not None and deadline_at <= begin:
        raise UsageError("the deadline lies before the start", hint="use --now to end work at once")
    if start_at is not None and start_at < now - 60:
        raise UsageError("the start lies in the past", hint="leave --from out to begin now")
    if end_at is not None and end_at <= begin:
        raise UsageError("the window ends before it begins")


_JOBS_NAMED = 3  # jobs of another scheduler named per node; `fleetctl jobs --node` lists all


def _node(
    host: Host,
    picture: Picture,
    verb: str,
    wish: Wish,
    who: Actor,
    take_over: bool,
    harder: bool,
    power: dict[str, float],
) -> PlanNode:
    name = host.name
    record, outside, state = picture.record(name), picture.outside.get(name), picture.state(name)
    fact = picture.facts.get(name)
    held = picture.held.get(name, {})
    warnings = []
    if fact is None or fact.reach in (Reach.UNREACHABLE, Reach.UNKNOWN):
        warnings.append("does not answer: what runs there cannot be seen")
    elif fact.gone:
        warnings.append(f"{len(fact.gone)} cards it had before are gone")
    jobs = picture.jobs.get(name, ())
    if jobs and outside is not None and derive(wish, True) is not derive(wish, False):
        more = f" and {len(jobs) - _JOBS_NAMED} more" if len(jobs) > _JOBS_NAMED else ""
        job = "job" if len(jobs) == 1 else "jobs"
        warnings.append(f"{outside.backend} runs {job} {', '.join(jobs[:_JOBS_NAMED])}{more} there")
    if outside is not None and outside.backend in picture.silent:
        warnings.append(
            f"{outside.backend} does not answer: it is told when it does, and nobody knows what runs there now"
        )
    if verb == "resume" and record.owner is not None and record.owner.kind is ActorKind.PERSON and record.owner != who:
        warnings.append(f"was taken out by {record.owner}: {record.reason or 'no reason'}")
    skip = why_not(verb, record, outside, state, who, take_over=take_over, harder=harder)
    return PlanNode(
        host=name,
        before=state,
        after=derive(wish, picture.busy(name)),
        version=record.version,
        leases=picture.leases(name),
        cards_total=len(fact.cards) if fact and fact.cards else host.cards,
        cards_busy=len([c for c in held if c]) if fact else None,
        processes=picture.processes.get(name, 0) if fact else None,
        power_w=power.get(name),
        skip=skip,
        already=bool(skip) and is_there(verb, record, state),
        warnings=tuple(warnings),
    )


def _card_node(
    host: Host,
    picture: Picture,
    wish: Wish,
    cards: Sequence[str],
    mode: DrainMode,
    deadline_at: float | None,
    kept: Collection[str],
) -> PlanNode:
    """One node of which only some cards move. Card names are indexes or keys. kept: plans that leave processes alone."""
    known = {c.number: c.key for c in picture.cards(host.name) if c.number is not None}
    keys = {c.key for c in picture.cards(host.name)}
    record, state = picture.record(host.name), picture.state(host.name)
    picked: list[str] = []
    skip, already = "", False
    for card in cards:
        key = card if card in keys else known.get(card)
        if key is None:
            skip = f"has no card {card}; it names {', '.join(sorted(known)) or 'none'}"
            break
        before = picture.card_record(host.name, key)
        harder = is_harder(before, mode, deadline_at) or before.plan in kept
        if before.wish is wish and not (harder and wish in EMPTYING and picture.card_busy(host.name, key)):
            continue
        picked.append(key)
    if not picked and not skip:
        skip = f"these cards are {'in service' if wish is Wish.SERVE else wish.value} already"
        already = True
    leases = sorted({lease for key in picked for lease in picture.leases(host.name, key)})
    return PlanNode(
        host=host.name,
        before=state,
        after=state,
        version=record.version,
        leases=tuple(leases),
        cards=tuple(picked),
        cards_total=len(keys) or host.cards,
        cards_busy=len([k for k in picked if picture.leases(host.name, k)]),
        skip=skip,
        already=already,
    )


def _to_end(node: PlanNode, work: Sequence[Process]) -> tuple[str, ...]:
    """What a drain that ends work would end beside leases, each process once. What a lease runs goes with the lease
    first, but what it leaves behind is ended too: nobody can tell the two apart before."""
    mine = {p.pid: p for p in work if not node.cards or p.device in node.cards}
    return tuple(f"{p.pid} {p.name or '?'}" + (f" of {p.user}" if p.user else "") for p in mine.values())


def capacity_left(
    inventory: Inventory,
    picture: Picture,
    nodes: Sequence[PlanNode],
    chips: Mapping[str, Mapping[str, int]],
    stray: Mapping[str, int],
) -> tuple[CapacityLeft, ...]:
    """Cards in service before and after, by chip, pool and site; only groups the plan touches.

    chips: host -> chip -> cards it names now; a host that was never seen counts as declared. stray: host -> cards that a
    process holds without a lease: they are in service, but not free.
    """
    moves = {n.host: n for n in nodes}
    bad = Counter(host for (host, _card), record in picture.card_records.items() if record.wish is not Wish.SERVE)
    rows: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    touched: dict[tuple[str, str], None] = {}
    for host in inventory.hosts.values():
        seen = chips.get(host.name, {})
        groups = _groups(host, seen)
        node = moves.get(host.name)
        serves = picture.state(host.name) is Admin.IN_SERVICE
        count = sum(seen.values()) or host.cards or 0
        out_cards = bad[host.name]
        before = count - out_cards if serves else 0
        after_serves, after = serves, before
        if node is not None and node.cards:
            after = max(0, before - len(node.cards)) if serves else 0
        elif node is not None:
            after_serves = node.after is Admin.IN_SERVICE
            after = count - out_cards if after_serves else 0
        if node is not None:
            touched.update(dict.fromkeys(groups))
        held = len([c for c in picture.held.get(host.name, {}) if c]) + stray.get(host.name, 0)
        for group in groups:
            row = rows[group]
            row[0] += serves
            row[1] += after_serves
            row[2] += before
            row[3] += after
            row[4] += max(0, after - held) if after_serves else 0
    return tuple(CapacityLeft(*group, *rows[group]) for group in sorted(touched))


def _groups(host: Host, chips: Mapping[str, int]) -> list[tuple[str, str]]:
    # A tool that does not name its chips leaves the declared one to count by.
    groups = [("chip", chip or host.chip or "-") for chip in chips or (host.chip,)]
    return [*groups, *(("pool", pool) for pool in host.pools), ("site", host.site)]


def count(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def _steps(
    verb: str,
    wish: Wish,
    nodes: Sequence[PlanNode],
    mode: DrainMode,
    later: bool,
    cards: Sequence[str],
    ending: bool,
    config: Config,
) -> tuple[str, ...]:
    if not nodes:
        return ()
    what = count(len(nodes), "node")
    if cards:
        what = f"{'cards' if len(cards) > 1 else 'card'} {','.join(cards)} of {what}"
    one = len(nodes) == 1
    steps = ["wait for the window to begin; guards are asked again then"] if later else []
    if wish is Wish.SERVE:
        return (*steps, f"{what} {'takes' if one else 'take'} work again")
    steps.append(f"{what} takes no new work" if one else f"{what} take no new work, all at once")
    if wish in EMPTYING:
        busy = len({lease for n in nodes for lease in n.leases})
        leases = count(busy, "lease")
        how = {
            DrainMode.WAIT: f"{leases} to run to the end, however long that takes",
            DrainMode.DEADLINE: f"{leases} may run until the deadline, and no longer",
            DrainMode.NOW: f"{leases} ended now",
        }[mode]
        if busy:
            steps.append(how)
        if ending:
            found = sum(len(n.to_end) for n in nodes)
            known = f"{count(found, 'process')}, and any " if found else "any process "
            grace = f"TERM, and KILL {config.scheduling.drain_grace_s:g} s later"
            steps.append(f"{known}that holds a card without a lease then: {grace}")
        after = derive(wish, False).value.replace("_", " ")
        who = what if cards else "it" if one else "each node"
        steps.append(f"{who} {'are' if len(cards) > 1 else 'is'} {after} as soon as nothing runs there")
    return tuple(steps)


def _warnings(
    nodes: Sequence[PlanNode], mode: DrainMode, ending: bool, freed: Sequence[float | None]
) -> tuple[str, ...]:
    found = []
    blind = sum(1 for n in nodes if n.warnings and "does not answer" in n.warnings[0])
    if blind:
        found.append(f"{blind} of {count(len(nodes), 'node')} {'does' if blind == 1 else 'do'} not answer")
    processes = sum(n.processes or 0 for n in nodes if not n.leases)
    if processes and mode is not DrainMode.WAIT and not ending:
        found.append(f"{count(processes, 'process')} without a lease kept; their nodes stay draining while they run")
    unmetered = sum(1 for p in freed if p is None)
    if unmetered and len(freed) > unmetered:
        found.append(f"power freed leaves out {count(unmetered, 'node')} whose draw is not known")
    return tuple(found)
