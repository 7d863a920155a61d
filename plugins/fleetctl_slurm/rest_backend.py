"""One Slurm cluster through slurmrestd, from 24.11 on: no shell there, the same model as its commands give."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from fleetctl.clock import Clock
from fleetctl.config.schema import Scheduler
from fleetctl.errors import ConflictError, FleetctlError, NotFoundError, ParseError, UnreachableError, UsageError
from fleetctl.inventory.nodesets import fold
from fleetctl.model.lease import WHOLE
from fleetctl.scheduler.backend import Advice, Allocation, BackendNode, BackendView, Capability, Shell
from fleetctl.scheduler.terms import parts_wanted
from fleetctl_slurm.answers import MARK, NodeAnswer, explain_windows
from fleetctl_slurm.backend import HOLD, JOB_ID, SlurmBackend, is_known, minutes, other_class, plain, to_cancel
from fleetctl_slurm.cards import CardBook
from fleetctl_slurm.json_answers import (
    CARD_KEYS,
    JOB_KEYS,
    NODE_KEYS,
    cards_of,
    items,
    read_job,
    read_nodes,
    read_reservations,
)
from fleetctl_slurm.json_stream import One
from fleetctl_slurm.names import Names
from fleetctl_slurm.rest import Rest
from fleetctl_slurm.words import is_name


def make_slurm(settings: Scheduler, shell: Shell, clock: Clock) -> SlurmBackend | RestBackend:
    """The way fleet.toml names: `rest`, or else the commands."""
    return RestBackend(settings, clock) if settings.rest else SlurmBackend(settings, shell, clock)


REFUSED_WITHIN_S = 2.0


class RestBackend:
    """Implements fleetctl.scheduler.backend.Backend."""

    def __init__(self, settings: Scheduler, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._rest = Rest(settings)
        names = Names(settings)
        self._host, self._node = names.host, names.node
        self._nodes = NodeAnswer()
        self._cards = CardBook()

    @property
    def name(self) -> str:
        return self._settings.endpoint

    # -- reading ------------------------------------------------------------------------------------------------------

    async def read(self) -> BackendView:
        """Ping, then nodes, jobs and reservations, one question each. Raises as SlurmBackend.read does."""
        await self._ping()
        nodes = read_nodes({"nodes": await self._rest.each("nodes/", "nodes", NODE_KEYS, dict)}, self._host)
        if not nodes.nodes:
            raise ParseError(
                f"{self.name} names no node at all", hint="an empty answer is not taken for an empty fleet"
            )
        # Without its detail a job is a quarter of the size on nodes of a hundred cores.
        jobs = await self._rest.each("jobs/?flags=ALL", "jobs", JOB_KEYS, lambda one: read_job(one, self._host))
        windows = read_reservations(await self._rest.get("reservations/"), self._host)
        at = self._clock.now()
        self._nodes = nodes
        missing = self._cards.missing(jobs, nodes.used)
        if missing:
            with contextlib.suppress(FleetctlError):  # nice to know: the round does not fail for it
                told = await self._rest.each(
                    "jobs/?flags=DETAIL", "jobs", CARD_KEYS, lambda one: cards_of(one, self._host)
                )
                self._cards.learn(missing, dict(told))
        return BackendView(
            at=at,
            version=self._rest.release,
            nodes=explain_windows(nodes.nodes, windows, at),
            jobs=self._cards.place(jobs, nodes.used, nodes.whole, nodes.parted),
            reservations=windows,
            partitions=nodes.partitions,
        )

    async def _ping(self) -> None:
        """It answers at once where the controller is dead, while all other questions take ten seconds."""
        pings = items(await self._rest.get("ping/"), "pings")
        if not any(one.get("responding") is True or one.get("pinged") == "UP" for one in pings):
            # A token it refuses looks the same; asking for more tells at once, or is late as with a dead controller.
            with contextlib.suppress(UnreachableError):
                await self._rest.get("reservations/", timeout_s=REFUSED_WITHIN_S)
            raise UnreachableError(
                f"{self.name}: the controller does not answer slurmrestd",
                hint="what it said last stays, with its age; look at slurmctld there",
            )

    async def read_node(self, host: str) -> BackendNode:
        node = self._node(host)
        found = read_nodes(await self._rest.get(f"node/{node}"), self._host).nodes
        if host not in found:
            raise NotFoundError(f"{self.name} knows no node {node}")
        return found[host]

    async def capabilities(self) -> frozenset[Capability]:
        """What the daemon offers; whether its user may, only the act itself tells."""
        if self._settings.read_only:
            return frozenset()
        able = {Capability.DRAIN, Capability.RESUME, Capability.SUBMIT, Capability.CANCEL}
        if await self._rest.offers("POST", "reservation"):
            able.add(Capability.RESERVE)
        return frozenset(able)

    # -- acting -------------------------------------------------------------------------------------------------------

    async def drain(self, host: str, reason: str) -> None:
        await self._change("POST", f"node/{self._node(host)}", {"state": ["DRAIN"], "reason": plain(reason)})

    async def resume(self, host: str) -> None:
        await self._change("POST", f"node/{self._node(host)}", {"state": ["RESUME"]})

    async def reserve(
        self, name: str, hosts: Sequence[str], start_at: int, end_at: int | None, *, users: Sequence[str], maint: bool
    ) -> str:
        full = name if name.startswith(MARK) else MARK + re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100]
        bad = [u for u in users if not is_name(u)]
        if not hosts or bad or (not users and not maint):
            raise UsageError(f"{self.name} cannot hold {len(hosts)} nodes for {', '.join(bad or users) or 'nobody'}")
        body: dict[str, Any] = {
            "name": full,
            "node_list": [self._node(h) for h in hosts],
            "start_time": _set(start_at),
            "flags": ["MAINT", "IGNORE_JOBS"] if maint else [],
            "users" if maint else self._settings.reserve_for: ["root"] if maint else list(users),
        }
        body |= {"end_time": _set(end_at)} if end_at is not None else {"duration": _INFINITE}
        await self._change("POST", "reservation", body)
        return full

    async def unreserve(self, name: str) -> None:
        if not name.startswith(MARK) or not is_name(name):
            raise ConflictError(f"reservation {name} of {self.name} is not ours")
        await self._change("DELETE", f"reservation/{name}")

    async def submit(
        self,
        script: str,
        *,
        name: str,
        partition: str,
        nodes: int,
        cards: int,
        duration_s: int,
        mark: str,
        milli: int = WHOLE,
        parts: str = "",
        qos: str = "",
        nice: int | None = None,
        requeue: bool | None = None,
    ) -> str:
        if not script.startswith("#!"):
            raise UsageError("a batch script begins with #!", hint="#!/bin/sh")
        job: dict[str, Any] = {"name": plain(name), "minimum_nodes": nodes, "time_limit": _set(minutes(duration_s))}
        job |= {} if requeue is None else {"requeue": requeue}
        wanted = Allocation(nodes, cards, "", partition, milli=milli, parts=parts, qos=qos, nice=nice)
        return await self._submit(job, wanted, mark, script)

    async def hold(self, wanted: Allocation, mark: str) -> str:
        job: dict[str, Any] = {
            "name": f"fleetctl-{plain(wanted.tenant)}",
            "minimum_nodes": wanted.nodes,
            "maximum_nodes": wanted.nodes,
            "requeue": False,
        }
        if wanted.exclusive or not wanted.cards:
            job["shared"] = ["none"]
        if wanted.duration_s is not None:
            job["time_limit"] = _set(minutes(wanted.duration_s))
        if wanted.begin_at is not None:
            job["begin_time"] = _set(wanted.begin_at)
        if wanted.reservation:
            job["reservation"] = MARK + wanted.reservation
        if wanted.not_on:
            job["excluded_nodes"] = [fold(self._node(h) for h in wanted.not_on)]
        if self._settings.reserve_for == "accounts" and is_name(wanted.tenant):
            job["account"] = wanted.tenant
        return await self._submit(job, wanted, mark, HOLD)

    async def _submit(self, job: dict[str, Any], wanted: Allocation, mark: str, script: str) -> str:
        job |= {
            "comment": f"[fleetctl {mark}]",
            "environment": ["PATH=/usr/local/bin:/usr/bin:/bin"],  # it refuses a job without any
            "standard_output": "/dev/null",
            "current_working_directory": "/",
        }
        job |= {"partition": wanted.partition} if wanted.partition else {}
        gres, cards = self._nodes.gres(self._nodes.partitions.get(wanted.partition, ())), wanted.cards
        if wanted.milli < WHOLE and wanted.parts:
            gres, cards = parts_wanted(wanted.parts, wanted.milli)
        job |= {"tres_per_node": f"gres/{gres or self._settings.gres}:{cards}"} if cards else {}
        job |= {"qos": wanted.qos} if wanted.qos else {}
        job |= {} if wanted.nice is None else {"nice": wanted.nice}
        found = await self._change("POST", "job/submit", {"script": script, "job": job})
        number = found.get("job_id")
        if not isinstance(number, int) or not number:
            raise ParseError(f"{self.name} took the job but named no id", hint="look at `squeue`")
        if wanted.qos:
            await self._check_class(str(number), wanted.qos)
        return str(number)

    async def _check_class(self, job: str, qos: str) -> None:
        """As SlurmBackend does."""
        try:
            (found,) = items(await self._rest.get(f"job/{job}"), "jobs")
        except (FleetctlError, ValueError):
            return
        told = found.get("qos")
        if isinstance(told, str) and told != qos:
            with contextlib.suppress(FleetctlError):
                await self._change("DELETE", f"job/{job}")
            raise other_class(self.name, qos, told)

    async def find(self, mark: str) -> str:
        def with_mark(one: One) -> str | None:
            job = read_job(one, self._host, ended=True)
            return job.id if job is not None and job.mark == mark else None

        return next(iter(await self._rest.each("jobs/?flags=ALL", "jobs", JOB_KEYS, with_mark)), "")

    async def fates(self, jobs: Sequence[str]) -> dict[str, str]:
        def named(one: One) -> tuple[str, str] | None:
            job = read_job(one, self._host, ended=True)
            return (job.id, job.state) if job is not None and job.id in jobs else None

        return dict(await self._rest.each("jobs/?flags=ALL", "jobs", JOB_KEYS, named))

    async def set_end(self, job: str, start_at: int, end_at: int | None) -> None:
        limit = _INFINITE if end_at is None else _set(minutes(end_at - start_at))
        await self._change("POST", f"job/{self._job(job)}", {"time_limit": limit})

    async def cancel(self, job: str) -> None:
        found = await self._change("DELETE", f"job/{quote(to_cancel(self._job(job)))}")
        for one in items(found, "status"):  # no error of the whole: what became of each job stands in a list
            error = one.get("error")
            said = error.get("string") if isinstance(error, dict) else None
            if isinstance(said, str) and "invalid job id" in said.lower():
                raise NotFoundError(f"{self.name} knows no job {job}", hint="it may have ended; see `squeue`")
            if isinstance(said, str) and said and error.get("code"):
                raise ConflictError(f"{self.name}: job {job}: {said[:200]}")

    def _job(self, job: str) -> str:
        if not JOB_ID.fullmatch(job):
            raise UsageError(f"{job!r} is no job id of {self.name}", hint="a number, or a number_index of an array")
        return job

    async def _change(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._settings.read_only:
            raise ConflictError(f"{self.name} is read only", hint="fleet.toml says so: read_only")
        known = path if path in ("reservation", "job/submit") else _braces(path)
        if not await self._rest.offers(method, known):
            raise ConflictError(
                f"{self.name}: slurmrestd of {self._rest.release or 'this release'} has no {method} {known}",
                hint="take `rest` out of its [[schedulers]] table: the commands can",
            )
        return await self._rest.call(method, path, body)

    async def diagnose(self) -> list[Advice]:
        try:
            view = await self.read()
            able = await self.capabilities()
        except FleetctlError as error:
            return [Advice("bad", str(error), error.hint)]
        found = [
            Advice(
                "ok",
                f"Slurm {view.version or 'of unknown version'} by REST: {len(view.nodes)} nodes in {len(view.partitions)}"
                f" partitions, {len(view.jobs)} jobs, {len(view.reservations)} reservations",
            )
        ]
        if not is_known(view.version):
            text = f"version {view.version or 'unknown'} was never compared; 24.11 to 26.05 were"
            found.append(Advice("warn", text, "compare `fleetctl nodes` with `sinfo -N` once"))
        plain_http = urlsplit(self._settings.rest)
        if plain_http.scheme == "http" and plain_http.hostname not in ("localhost", "127.0.0.1", "::1"):
            found.append(
                Advice("warn", "its token travels in the clear", "https://, or unix: on the daemon's own host")
            )
        if able and Capability.RESERVE not in able:
            found.append(Advice("warn", "its REST daemon cannot reserve", "25.05 can; or take `rest` out"))
        return [*found, Advice("ok", f"offers {', '.join(sorted(able)) or 'nothing: read only'}")]


_INFINITE = {"set": False, "infinite": True, "number": 0}


def _set(number: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": number}


def _braces(path: str) -> str:
    """`node/gpu1` -> `node/{node_name}`, as /openapi/v3 writes it."""
    kind = path.partition("/")[0]
    return f"{kind}/{{{ {'node': 'node_name', 'job': 'job_id', 'reservation': 'reservation_name'}[kind] }}}"
