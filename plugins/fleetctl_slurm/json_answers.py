"""slurmrestd's JSON -> the very rows the commands print, so that both ways end in one model. Pure.

Whatever has another type than expected is missing, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fleetctl.scheduler.backend import BackendJob, BackendReservation
from fleetctl_slurm.answers import MARK, NodeAnswer, job_of, node_record, refuse_bad, words_of
from fleetctl_slurm.cards import Cards, parse_indices, parse_parted
from fleetctl_slurm.words import expand_hosts, is_name

# What is read of each element: of 128 fields of a job the rest is never decoded.
_IDS = ("job_id", "array_job_id", "array_task_id", "array_task_string", "het_job_id", "het_job_offset")
JOB_KEYS = (
    *_IDS, "job_state", "partition", "account", "user_name", "node_count", "tres_alloc_str", "tres_per_node",
    "tres_per_job", "nodes", "state_reason", "qos", "comment", "name", "submit_time", "start_time", "end_time",
    "time_limit",
)  # fmt: skip
CARD_KEYS = (*_IDS, "nodes", "gres_detail")
NODE_KEYS = (
    "name", "state", "gres", "gres_used", "alloc_cpus", "reason", "reason_set_by_user", "reason_changed_at",
    "partitions",
)  # fmt: skip
# The list of jobs holds those that ended lately too.
_OVER = frozenset({
    "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY",
    "REVOKED",
})  # fmt: skip


def items(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of a list; [] where there is none."""
    found = answer.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def read_nodes(answer: Mapping[str, Any], rename: Callable[[str], str]) -> NodeAnswer:
    found = NodeAnswer()
    members: dict[str, list[str]] = {}
    for one in items(answer, "nodes"):
        name, state = _text(one, "name"), _flags(one, "state")
        if not is_name(name) or not state:
            found.bad += 1
            continue
        host = rename(name)
        row = (
            *(name, "", "", "+".join(state).lower(), _text(one, "gres"), _text(one, "gres_used")),
            *(f"{_number(one, 'alloc_cpus') or 0}/", _text(one, "reason_set_by_user"), "", _text(one, "reason")),
        )
        record = node_record(host, row)
        names = tuple(p for p in _list(one, "partitions") if is_name(p))
        found.first[host] = record
        found.nodes[host] = replace(record.node, partitions=names, since_at=_number(one, "reason_changed_at") or None)
        for partition in names:
            members.setdefault(partition, []).append(host)
    refuse_bad(found.bad, found.bad + len(found.nodes), "slurmrestd")
    found.partitions = {name: tuple(hosts) for name, hosts in members.items()}
    return found


def read_jobs(answer: Mapping[str, Any], rename: Callable[[str], str], *, ended: bool = False) -> list[BackendJob]:
    """Jobs that wait or run; with `ended` the others too."""
    found = (read_job(one, rename, ended=ended) for one in items(answer, "jobs"))
    return [job for job in found if job is not None]


def read_job(one: Mapping[str, Any], rename: Callable[[str], str], *, ended: bool = False) -> BackendJob | None:
    """One of the list, by JOB_KEYS."""
    state = _flags(one, "job_state")
    if not state or (state[0] in _OVER and "COMPLETING" not in state and not ended):
        return None
    runs = bool(_text(one, "nodes"))
    nodes = _number(one, "node_count")
    row = (
        *(job_name(one), state[-1], _text(one, "partition"), _text(one, "account"), _text(one, "user_name")),
        *("" if nodes is None else str(nodes), _text(one, "tres_alloc_str") if runs else ""),
        *(_text(one, "tres_per_node"), _text(one, "tres_per_job"), "", "", "", _text(one, "nodes")),
        *(_text(one, "state_reason"), _text(one, "qos"), _text(one, "comment"), _text(one, "name")),
    )
    job = job_of(row, rename)
    if job is None:
        return None
    return replace(
        job,
        submitted_at=_number(one, "submit_time") or None,
        start_at=_number(one, "start_time") or None,
        end_at=(_number(one, "end_time") or None) if runs and not _infinite(one, "time_limit") else None,
    )


def read_cards(answer: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, dict[str, Cards]]:
    """Job -> host -> its cards, from `gres_detail`, a text for each of its nodes in the order they are listed."""
    return dict(cards_of(one, rename) for one in items(answer, "jobs"))


def cards_of(one: Mapping[str, Any], rename: Callable[[str], str]) -> tuple[str, dict[str, Cards]]:
    """Those of one job, by CARD_KEYS."""
    hosts, told = expand_hosts(_text(one, "nodes")), _list(one, "gres_detail")
    if not hosts or len(hosts) != len(told):
        return job_name(one), {}
    pairs = {rename(host): parse_indices(text) or parse_parted(text) for host, text in zip(hosts, told, strict=True)}
    return job_name(one), {host: cards for host, cards in pairs.items() if cards}


def read_reservations(answer: Mapping[str, Any], rename: Callable[[str], str]) -> list[BackendReservation]:
    return [
        BackendReservation(
            name=_text(one, "name"),
            hosts=tuple(rename(h) for h in expand_hosts(_text(one, "node_list"))),
            start_at=_number(one, "start_time") or None,
            end_at=_number(one, "end_time") or None,
            users=tuple(words_of(_text(one, "users")) + words_of(_text(one, "accounts"))),
            flags=tuple(words_of(",".join(_list(one, "flags")))),
            ours=_text(one, "name").startswith(MARK),
        )
        for one in items(answer, "reservations")
        if is_name(_text(one, "name"))
    ]


def job_name(one: Mapping[str, Any]) -> str:
    """The id as `squeue` writes it: 12, 8_1, 8_[1-20], 9+0."""
    number, array, het = _number(one, "job_id"), _number(one, "array_job_id"), _number(one, "het_job_id")
    if het:
        return f"{het}+{_number(one, 'het_job_offset') or 0}"
    if array:
        task, tasks = _number(one, "array_task_id"), _text(one, "array_task_string")
        if task is not None:
            return f"{array}_{task}"
        if tasks:
            return f"{array}_[{tasks}]"
    return "" if number is None else str(number)


def _text(one: Mapping[str, Any], key: str) -> str:
    value = one.get(key)
    return value if isinstance(value, str) else ""


def _list(one: Mapping[str, Any], key: str) -> list[str]:
    value = one.get(key)
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _flags(one: Mapping[str, Any], key: str) -> list[str]:
    """A state is a list from 23.02 on, a word before."""
    value = one.get(key)
    return [value] if isinstance(value, str) and value else _list(one, key)


def _number(one: Mapping[str, Any], key: str) -> int | None:
    """A bare number, or {set, infinite, number}; None where it is not set."""
    value = one.get(key)
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None


def _infinite(one: Mapping[str, Any], key: str) -> bool:
    value = one.get(key)
    return isinstance(value, dict) and bool(value.get("infinite"))
