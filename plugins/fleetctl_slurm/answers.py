"""What the bulk queries print -> nodes, partitions, jobs, reservations. Pure; the same text on 22.05, 24.11 and 26.05.

Records end with `|NONCE|`, so that a reason or a job name may hold bars and line ends. What cannot be read is counted,
and more than a few of them make the whole answer unreadable: an empty list is never an empty cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetctl.errors import ParseError
from fleetctl.model.states import Admin
from fleetctl.scheduler.backend import BackendJob, BackendNode, BackendReservation, is_ours
from fleetctl_slurm.cards import parse_indices, parse_parted
from fleetctl_slurm.words import (
    admin_of,
    card_name,
    count_allocated_cpus,
    count_cards,
    expand_hosts,
    is_busy,
    is_name,
    known_name,
    parse_moment,
    parse_state,
    parts_of,
)

NODE_FIELDS = (
    "NodeList", "Partition", "Available", "StateComplete", "Gres", "GresUsed", "CPUsState", "User", "Timestamp",
    "Reason",
)  # fmt: skip
JOB_FIELDS = (
    "JobArrayID", "State", "Partition", "Account", "UserName", "NumNodes", "tres-alloc", "tres-per-node",
    "tres-per-job", "SubmitTime", "StartTime", "EndTime", "NodeList", "Reason", "QOS", "Comment", "Name",
)  # fmt: skip
MARK = "fleetctl_"  # reservations of ours begin with it
NO_REASON = frozenset({"", "none", "(null)"})
_BAD_SHARE = 0.1  # of the records: above that the answer is of a form we do not know
_PAIR = re.compile(r"([A-Za-z]{1,40})=(\S*)")
_MARK = re.compile(r"\[fleetctl ([A-Za-z0-9_-]{1,80})\]")
_TEXT = 400  # characters kept of a reason or a job name


def fields_option(fields: Iterable[str], nonce: str) -> str:
    """The value of `-O`: every field unshortened, each record closed by the nonce."""
    return ",".join(f"{f}:|" for f in fields) + f"{nonce}|"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What a record of `sinfo -N` says of its node. used: indices of the cards given to jobs, () where none is printed;
    parted: of these, those of which only parts are; gres: what they are called, "" where there are none."""

    node: BackendNode
    used: tuple[int, ...]
    gres: str
    parted: tuple[int, ...] = ()


@dataclass
class NodeAnswer:
    """partitions: name -> its nodes, in the order of the answer; first: the record each node was made of; records: these
    by their text, and names: host and partition of every record, for the next round; bad: records that could not be read."""

    nodes: dict[str, BackendNode] = field(default_factory=dict)
    partitions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    first: dict[str, NodeRecord] = field(default_factory=dict)
    records: dict[str, NodeRecord] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    bad: int = 0

    @property
    def used(self) -> dict[str, tuple[int, ...]]:
        """Node -> indices of the cards given to jobs, where they are printed."""
        return {host: record.used for host, record in self.first.items() if record.used}

    @property
    def parted(self) -> dict[str, tuple[int, ...]]:
        """Node -> indices of the cards of which parts are given to jobs."""
        return {host: record.parted for host, record in self.first.items() if record.parted}

    @property
    def whole(self) -> dict[str, int]:
        """Nodes all of whose cards are given to jobs, with their number."""
        return {host: n.cards for host, n in self.nodes.items() if n.cards and n.cards == n.cards_used}

    def gres(self, hosts: Iterable[str]) -> str:
        """What the cards of these nodes are called there: gpu, npu. "" where they have none or of several names."""
        names = {self.first[host].gres for host in hosts if host in self.first}
        return names.pop() if len(names) == 1 else ""


def parse_nodes(
    text: str, nonce: str, rename: Callable[[str], str] = str, before: NodeAnswer | None = None
) -> NodeAnswer:
    """One node each, however many partitions it is in. rename: Slurm's name -> the inventory's; before: the answer of
    the round before: what is the same word for word is not read again, and stays the very same object.

    Raises ParseError when the text ends inside a record or most of it is of another form.
    """
    answer, before = NodeAnswer(), before or NodeAnswer()
    members: dict[str, list[str]] = {}
    of: dict[str, list[str]] = {}
    records = _records(text, nonce)
    for one in records:
        names = before.names.get(one) or _node_names(one, rename)
        if names is None:
            answer.bad += 1
            continue
        host, partition = answer.names[one] = names
        if host not in of:
            of[host] = []
            record = before.records.get(one) or _node_record(host, one)
            answer.first[host] = answer.records[one] = record
        if partition:
            members.setdefault(partition, []).append(host)
            of[host].append(partition)
    refuse_bad(answer.bad, len(records), "sinfo")
    answer.partitions = {name: tuple(hosts) for name, hosts in members.items()}
    for host, record in answer.first.items():
        its, last = tuple(of[host]), before.nodes.get(host)
        same = last is not None and before.first[host] is record and last.partitions == its
        answer.nodes[host] = last if last is not None and same else replace(record.node, partitions=its)
    return answer


def _node_names(text: str, rename: Callable[[str], str]) -> tuple[str, str] | None:
    """(host, partition) of a record; None for one of another form."""
    row = text.lstrip("\r\n").split("|", 4)
    if text.count("|") < len(NODE_FIELDS) - 1 or not is_name(row[0]) or not row[3].strip():
        return None
    partition = row[1].rstrip("*")
    return rename(row[0]), partition if is_name(partition) else ""


def _node_record(host: str, text: str) -> NodeRecord:
    return node_record(host, text.lstrip("\r\n").split("|", len(NODE_FIELDS) - 1))


def node_record(host: str, row: Sequence[str]) -> NodeRecord:
    """row: values of NODE_FIELDS, whoever told them."""
    whole, parted = parse_indices(row[5]) or (), parse_parted(row[5])
    used = tuple(sorted({*whole, *parted})) if parted else whole
    return NodeRecord(_node(host, row), used, card_name(row[4]), parted)


def _node(host: str, row: Sequence[str]) -> BackendNode:
    state = parse_state(row[3])
    busy = is_busy(state, count_allocated_cpus(row[6]))
    # 24.11 keeps the reason of the last drain on a node that is back: it says nothing any more.
    admin = admin_of(state, busy)
    over = not state.held and not state.down and admin in (Admin.IN_SERVICE, Admin.MAINTENANCE)
    reason = "" if over or row[9].strip().lower() in NO_REASON else _line(row[9])
    return BackendNode(
        host=host,
        state=admin,
        word=_line(row[3], 80),
        reason=reason,
        owner=_line(known_name(row[7]), 80) if reason else "",
        ours=is_ours(reason),
        busy=busy,
        responding=state.responding,
        cards=count_cards(row[4]),
        cards_used=count_cards(row[5]) if count_cards(row[4]) is not None else None,
        since_at=parse_moment(row[8]),
        held=state.held,
        parts=parts_of(row[4]),
    )


def parse_jobs(
    text: str, nonce: str, rename: Callable[[str], str] = str, before: Mapping[str, BackendJob] | None = None
) -> tuple[dict[str, BackendJob], int]:
    """Jobs that wait or run by the text of their record, and how many could not be read. before: those of the round before,
    of which the same text is not read again. Raises ParseError as parse_nodes does."""
    jobs: dict[str, BackendJob] = {}
    bad = 0
    records = _records(text, nonce)
    for record in records:
        job = (before or {}).get(record) or _job(record, rename)
        if job is None:
            bad += 1
        else:
            jobs[record] = job
    refuse_bad(bad, len(records), "squeue")
    return jobs, bad


def _job(text: str, rename: Callable[[str], str]) -> BackendJob | None:
    return job_of(text.lstrip("\r\n").split("|", len(JOB_FIELDS) - 1), rename)


def job_of(row: Sequence[str], rename: Callable[[str], str]) -> BackendJob | None:
    """row: values of JOB_FIELDS, whoever told them; None for one of another form."""
    if len(row) != len(JOB_FIELDS) or not row[0].strip() or not row[1].strip():
        return None
    nodes = int(row[5]) if row[5].isdecimal() and len(row[5]) < 9 else None
    return BackendJob(
        id=_line(row[0], 80),
        name=_line(row[16], 120),
        user=_line(known_name(row[4]), 80),
        state=_line(row[1], 40).lower(),
        partition=_line(row[2], 80),
        account=_line(known_name(row[3]), 80),
        hosts=tuple(rename(h) for h in expand_hosts(row[12])),
        cards=_job_cards(row[6], row[7], row[8], nodes),
        submitted_at=parse_moment(row[9]),
        start_at=parse_moment(row[10]),
        end_at=parse_moment(row[11]),
        reason="" if row[13].strip().lower() in NO_REASON else _line(row[13], 160),
        nodes=nodes,
        mark=mark_of(row[15]),
        qos=_line(known_name(row[14]), 80),
    )


def mark_of(comment: str) -> str:
    """`[fleetctl r-1-a5]`, the comment of a job of ours -> `r-1-a5`; "" for all others."""
    match = _MARK.fullmatch(comment.strip())
    return match[1] if match else ""


def _job_cards(allocated: str, per_node: str, per_job: str, nodes: int | None) -> int | None:
    """What was given, where Slurm tracks cards (slurmdbd); else what was asked for."""
    given = count_cards(allocated)
    if given is not None:
        return given
    each = count_cards(per_node)
    if each is not None and nodes is not None:
        return each * nodes
    return count_cards(per_job)


def parse_reservations(text: str, rename: Callable[[str], str] = str) -> list[BackendReservation]:
    """`scontrol -o show reservation`: a line each; lines of another form are passed over."""
    found = []
    for line in text.splitlines():
        pairs = dict(_PAIR.findall(line))
        name = pairs.get("ReservationName", "")
        if not is_name(name):
            continue
        users = tuple(words_of(pairs.get("Users", "")) + words_of(pairs.get("Accounts", "")))
        found.append(
            BackendReservation(
                name=name,
                hosts=tuple(rename(h) for h in expand_hosts(pairs.get("Nodes", ""))),
                start_at=parse_moment(pairs.get("StartTime", "")),
                end_at=parse_moment(pairs.get("EndTime", "")),
                users=users,
                flags=tuple(words_of(pairs.get("Flags", ""))),
                ours=name.startswith(MARK),
            )
        )
    return found


def words_of(text: str) -> list[str]:
    """The words of a comma-separated list; nobody and nothing are left out."""
    return [_line(word, 80) for word in text.split(",") if known_name(word)]


def explain_windows(
    nodes: dict[str, BackendNode], reservations: Iterable[BackendReservation], now: float
) -> dict[str, BackendNode]:
    """Nodes in maintenance get the reservation as their reason: Slurm itself names none."""
    windows = {
        host: held
        for held in reservations
        for host in held.hosts
        if (held.start_at or 0) <= now and (held.end_at is None or held.end_at > now)
    }
    return {
        host: replace(node, reason=f"reservation {windows[host].name}", ours=windows[host].ours)
        if node.state is Admin.MAINTENANCE and not node.reason and host in windows
        else node
        for host, node in nodes.items()
    }


def _records(text: str, nonce: str) -> list[str]:
    """Raises ParseError when the last record has no end."""
    *whole, rest = text.split(f"|{nonce}|")
    if rest.strip():
        raise ParseError("the answer ends inside a record", hint="asked again at the next round")
    return whole


def refuse_bad(bad: int, total: int, tool: str) -> None:
    if bad > max(1.0, total * _BAD_SHARE) or (bad and bad == total):
        raise ParseError(
            f"{bad} of {total} records of {tool} are of a form nobody here knows",
            hint=f"is this Slurm older than 22.05? run {tool} by hand and compare with the README of the plugin",
        )


def _line(text: str, limit: int = _TEXT) -> str:
    """One printable line of bounded length: a reason may hold line ends and escape sequences."""
    if len(text) <= limit and text.isprintable():
        return text.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())[:limit]
