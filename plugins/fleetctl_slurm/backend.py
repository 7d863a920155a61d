"""One Slurm cluster: read in one script a round, told by scontrol, sbatch and scancel; every write is read back."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence

from fleetctl.clock import Clock
from fleetctl.config.schema import Scheduler
from fleetctl.errors import (
    AuthError,
    ConflictError,
    FleetctlError,
    NotFoundError,
    ParseError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from fleetctl.inventory.nodesets import fold
from fleetctl.model.lease import WHOLE
from fleetctl.model.probe import Outcome
from fleetctl.scheduler.backend import Advice, Allocation, BackendJob, BackendNode, BackendView, Capability, Shell
from fleetctl.scheduler.terms import parts_wanted
from fleetctl_slurm.answers import (
    JOB_FIELDS,
    MARK,
    NODE_FIELDS,
    NodeAnswer,
    explain_windows,
    fields_option,
    mark_of,
    parse_jobs,
    parse_nodes,
    parse_reservations,
)
from fleetctl_slurm.cards import DETAILS_COMMAND, CardBook, parse_details
from fleetctl_slurm.names import Names
from fleetctl_slurm.rights import RIGHTS_COMMANDS, Rights, read_rights
from fleetctl_slurm.script import Part, script, split
from fleetctl_slurm.words import is_name, known_name

PING_TIMEOUT_S = 5.0  # a dead controller answers `scontrol ping` in 0.2 s, and every other question after 10 s
RIGHTS_FOR_S = 600.0  # rights change rarely, and asking for them takes a slurmdbd where there is one
MAX_BYTES = 32 * 1024 * 1024  # 12,500 nodes in three partitions and 20,000 jobs print 10 MB
# 12, a task 12_3, what waits of an array 12_[4-9%2], a part of a heterogeneous job 12+1.
JOB_ID = re.compile(r"\d{1,10}(?:_\d{1,9}|_\[[\d,:-]{1,4000}(?:%\d{1,9})?\]|\+\d{1,4})?")
# Holds its nodes until its time is over; exec, so that the signal of scancel reaches it.
HOLD = "#!/bin/sh\nexec sleep 2147483647\n"
_KNOWN = ((22, 5), (26, 5))  # releases the output was compared on


class SlurmBackend:
    """Implements fleetctl.scheduler.backend.Backend."""

    def __init__(self, settings: Scheduler, shell: Shell, clock: Clock) -> None:
        self._settings = settings
        self._shell = shell
        self._clock = clock
        self._rights: Rights | None = None
        self._rights_at = 0.0
        self._nodes = NodeAnswer()  # of the round before, and its jobs by the text of their records
        self._jobs: dict[str, BackendJob] = {}
        self._cards = CardBook()
        names = Names(settings)
        self._host, self._node = names.host, names.node

    @property
    def name(self) -> str:
        return self._settings.endpoint

    # -- reading ------------------------------------------------------------------------------------------------------

    async def read(self) -> BackendView:
        """Ping, then nodes, jobs and reservations, one bulk query each, in one script.

        Raises UnreachableError (no way there, or the controller is down), TimedOutError, ParseError (half an answer,
        or one of an unknown form, or an empty one).
        """
        nonce = secrets.token_hex(8)
        parts = await self._ask(
            {
                "ping": ("scontrol", "ping"),
                "version": ("scontrol", "--version"),
                "nodes": ("sinfo", "-h", "-N", "-a", "--local", "-O", fields_option(NODE_FIELDS, nonce)),
                "jobs": ("squeue", "-h", "-a", "--local", "-O", fields_option(JOB_FIELDS, nonce)),
                "windows": ("scontrol", "-o", "--local", "show", "reservation"),
            },
            nonce,
            ping=True,
        )
        at = self._clock.now()
        nodes = parse_nodes(self._text(parts, "nodes"), nonce, self._host, self._nodes)
        if not nodes.nodes:
            raise ParseError(
                f"{self.name} names no node at all", hint="an empty answer is not taken for an empty fleet"
            )
        self._nodes = nodes
        self._jobs, _ = parse_jobs(self._text(parts, "jobs"), nonce, self._host, self._jobs)
        windows = parse_reservations(self._text(parts, "windows"), self._host)
        return BackendView(
            at=at,
            version=self._version(parts.get("version", Part()).out),
            nodes=explain_windows(nodes.nodes, windows, at),
            jobs=await self._with_cards(list(self._jobs.values()), nodes),
            reservations=windows,
            partitions=nodes.partitions,
        )

    async def _with_cards(self, jobs: list[BackendJob], nodes: NodeAnswer) -> list[BackendJob]:
        """The jobs with the cards they hold. One more question, and only when jobs that share a node have begun."""
        used = nodes.used
        missing = self._cards.missing(jobs, used)
        if missing:
            with contextlib.suppress(FleetctlError):  # nice to know: the round does not fail for it
                parts = await self._ask({"details": DETAILS_COMMAND}, secrets.token_hex(8))
                told = parse_details(self._text(parts, "details"))
                self._cards.learn(missing, {j: {self._host(n): c for n, c in by.items()} for j, by in told.items()})
        return self._cards.place(jobs, used, nodes.whole, nodes.parted)

    async def read_node(self, host: str) -> BackendNode:
        nonce = secrets.token_hex(8)
        node = self._node(host)
        command = ("sinfo", "-h", "-N", "-a", "--local", "-n", node, "-O", fields_option(NODE_FIELDS, nonce))
        parts = await self._ask({"ping": ("scontrol", "ping"), "nodes": command}, nonce, ping=True)
        found = parse_nodes(self._text(parts, "nodes"), nonce, self._host).nodes
        if host not in found:
            raise NotFoundError(f"{self.name} knows no node {node}", hint="is it in a partition there? see `sinfo -N`")
        return found[host]

    async def capabilities(self) -> frozenset[Capability]:
        if self._settings.read_only:
            return frozenset()
        return (await self._ask_rights()).capabilities

    # -- acting -------------------------------------------------------------------------------------------------------

    async def drain(self, host: str, reason: str) -> None:
        await self._change(
            "scontrol", "update", f"nodename={self._node(host)}", "state=drain", f"reason={plain(reason)}"
        )

    async def resume(self, host: str) -> None:
        await self._change("scontrol", "update", f"nodename={self._node(host)}", "state=resume")

    async def reserve(
        self, name: str, hosts: Sequence[str], start_at: int, end_at: int | None, *, users: Sequence[str], maint: bool
    ) -> str:
        """Named with our mark. users: for a hold, accounts or users as `reserve_for` says; maint: nobody gets in."""
        full = name if name.startswith(MARK) else MARK + re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100]
        nodes = ",".join(self._node(h) for h in hosts)
        if not nodes:
            raise UsageError("a reservation of no node")
        words = [f"reservationname={full}", f"starttime={moment(start_at)}", f"nodes={nodes}"]
        words.append(f"endtime={moment(end_at)}" if end_at is not None else "duration=infinite")
        if maint:
            words += ["users=root", "flags=maint,ignore_jobs"]
        else:
            bad = [u for u in users if not is_name(u)]
            if bad or not users:
                raise UsageError(f"{self.name} cannot hold nodes for {', '.join(bad) or 'nobody'}")
            words.append(f"{self._settings.reserve_for}={','.join(users)}")
        await self._change("scontrol", "create", "reservation", *words)
        return full

    async def unreserve(self, name: str) -> None:
        if not name.startswith(MARK) or not is_name(name):
            raise ConflictError(f"reservation {name} of {self.name} is not ours")
        await self._change("scontrol", "delete", f"reservationname={name}")

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
        """Queue a batch script; its id. The comment carries our mark."""
        if not script.startswith("#!"):
            raise UsageError("a batch script begins with #!", hint="#!/bin/sh")
        words = [f"--job-name={plain(name)}", f"--nodes={nodes}", f"--time={minutes(duration_s)}"]
        words += [f"--partition={partition}"] if partition else []
        words += [f"--gres={self._asked(partition, cards, milli, parts)}"] if cards else []
        words += [] if requeue is None else ["--requeue" if requeue else "--no-requeue"]
        return await self._sbatch([*words, *_class(qos, nice)], mark, script, qos)

    async def hold(self, wanted: Allocation, mark: str) -> str:
        """Queue a batch job that sleeps on its nodes; their tenant works there with `srun --overlap --jobid=ID`."""
        words = [f"--job-name=fleetctl-{plain(wanted.tenant)}", f"--nodes={wanted.nodes}", "--no-requeue"]
        if wanted.exclusive or not wanted.cards:
            words.append("--exclusive")
        if wanted.cards:
            words.append(f"--gres={self._asked(wanted.partition, wanted.cards, wanted.milli, wanted.parts)}")
        words += [f"--partition={wanted.partition}"] if wanted.partition else []
        words += [f"--time={minutes(wanted.duration_s)}"] if wanted.duration_s is not None else []
        words += [f"--begin={moment(wanted.begin_at)}"] if wanted.begin_at is not None else []
        words += [f"--reservation={MARK}{wanted.reservation}"] if wanted.reservation else []
        words += [f"--exclude={fold(self._node(h) for h in wanted.not_on)}"] if wanted.not_on else []
        if self._settings.reserve_for == "accounts" and is_name(wanted.tenant):
            words.append(f"--account={wanted.tenant}")
        return await self._sbatch([*words, *_class(wanted.qos, wanted.nice)], mark, HOLD, wanted.qos)

    async def _sbatch(self, words: Sequence[str], mark: str, script: str, qos: str) -> str:
        # --chdir: the folder we stand in on the login node need not exist on a compute node.
        fixed = ("sbatch", "--parsable", f"--comment=[fleetctl {mark}]", "--output=/dev/null", "--chdir=/")
        part = await self._change(*fixed, *words, stdin=script.encode())
        job = part.out.strip().split(";")[0]
        if not JOB_ID.fullmatch(job):
            raise ParseError(f"{self.name} took the job but named no id: {part.out[:80]!r}", hint="look at `squeue`")
        if qos:
            await self._check_class(job, qos)
        return job

    async def _check_class(self, job: str, qos: str) -> None:
        """Without slurmdbd a QOS is dropped, and sbatch says that all is well. Raises ConflictError; the job goes then."""
        try:
            parts = await self._ask(
                {"job": ("squeue", "-h", "-a", "--local", "-j", job, "-O", "QOS:|")}, secrets.token_hex(8)
            )
            told = self._text(parts, "job").strip().strip("|")
        except FleetctlError:
            return  # it is queued, or over already
        if told and told != qos:
            with contextlib.suppress(FleetctlError):
                await self._change("scancel", job)
            raise other_class(self.name, qos, told)

    async def find(self, mark: str) -> str:
        """Jobs that ended stay known to slurmctld for MinJobAge, five minutes as a rule. Asked only after a lost answer."""
        nonce = secrets.token_hex(8)
        command = ("squeue", "-h", "-a", "--local", "-t", "all", "-O", fields_option(("JobArrayID", "Comment"), nonce))
        parts = await self._ask({"ping": ("scontrol", "ping"), "jobs": command}, nonce, ping=True)
        for record in self._text(parts, "jobs").split(f"|{nonce}|"):
            job, _, comment = record.strip().partition("|")
            if mark_of(comment) == mark and JOB_ID.fullmatch(job):
                return job
        return ""

    async def fates(self, jobs: Sequence[str]) -> dict[str, str]:
        """One question for all of them; slurmctld remembers a job for MinJobAge, five minutes as a rule."""
        nonce, wanted = secrets.token_hex(8), [job for job in jobs if JOB_ID.fullmatch(job)]
        option = fields_option(("JobArrayID", "State"), nonce)
        command = ("squeue", "-h", "-a", "--local", "-t", "all", "-j", ",".join(wanted), "-O", option)
        parts = await self._ask({"jobs": command}, nonce)
        rows = (record.strip().split("|") for record in self._text(parts, "jobs").split(f"|{nonce}|"))
        return {row[0]: row[1].lower() for row in rows if len(row) == 2 and row[0] in wanted}

    async def set_end(self, job: str, start_at: int, end_at: int | None) -> None:
        """Slurm lets a plain user only shorten."""
        if not JOB_ID.fullmatch(job):
            raise UsageError(f"{job!r} is no job id of {self.name}")
        limit = "UNLIMITED" if end_at is None else str(minutes(end_at - start_at))
        await self._change("scontrol", "update", f"jobid={job}", f"timelimit={limit}")

    def _asked(self, partition: str, cards: int, milli: int, parts: str) -> str:
        """gpu:8, or shard:2 for a part of a card."""
        if milli < WHOLE and parts:
            name, count = parts_wanted(parts, milli)
            return f"{name}:{count}"
        return f"{self._gres(partition)}:{cards}"

    def _gres(self, partition: str) -> str:
        """What cards are called on the nodes of a partition; the setting where that is not known."""
        return self._nodes.gres(self._nodes.partitions.get(partition, ())) or self._settings.gres

    async def cancel(self, job: str) -> None:
        """Raises NotFoundError for a job it does not know: scancel itself says nothing then."""
        if not JOB_ID.fullmatch(job):
            raise UsageError(f"{job!r} is no job id of {self.name}", hint="a number, or a number_index of an array")
        nonce, job = secrets.token_hex(8), to_cancel(job)
        # squeue finds nothing for tasks in brackets, which scancel takes.
        command = ("squeue", "-h", "-a", "--local", "-j", job.partition("_[")[0], "-O", "JobID:|")
        parts = await self._ask({"job": command}, nonce)
        known = parts.get("job", Part())
        if "Invalid job id" in known.err or (known.status == 0 and not known.out.strip()):
            raise NotFoundError(f"{self.name} knows no job {job}", hint="it may have ended; see `squeue`")
        await self._change("scancel", job)

    async def diagnose(self) -> list[Advice]:
        try:
            view = await self.read()
        except FleetctlError as error:
            return [Advice("bad", str(error), error.hint)]
        found = [
            Advice(
                "ok",
                f"Slurm {view.version or 'of unknown version'}: {len(view.nodes)} nodes in {len(view.partitions)}"
                f" partitions, {len(view.jobs)} jobs, {len(view.reservations)} reservations",
            )
        ]
        if not is_known(view.version):
            text = f"version {view.version or 'unknown'} was never compared; 22.05 to 26.05 were"
            found.append(Advice("warn", text, "compare `fleetctl nodes` with `sinfo -N` once"))
        if self._settings.read_only:
            return [*found, Advice("ok", "read only, as fleet.toml says")]
        try:
            rights = await self._ask_rights(fresh=True)
        except FleetctlError as error:
            return [*found, Advice("bad", str(error), error.hint)]
        named = sorted({row.qos for row in self._settings.classes if row.qos})
        if named and rights.accounting is False:
            text = f"QOS {', '.join(named)} of `classes` means nothing there: the cluster has no accounting"
            found.append(Advice("warn", text, "slurmdbd; or map the class to a partition or to nice"))
        return [*found, *rights.advice()]

    # -- how it is asked ----------------------------------------------------------------------------------------------

    async def _ask(
        self, commands: Mapping[str, Sequence[str]], nonce: str, *, ping: bool = False, stdin: bytes = b""
    ) -> dict[str, Part]:
        settings = self._settings
        text = script(
            commands,
            nonce,
            timeout_s=settings.timeout_s,
            bin_path=settings.bin,
            conf=settings.conf,
            first="ping" if ping else "",
            first_timeout_s=min(PING_TIMEOUT_S, settings.timeout_s),
        )
        limit = settings.timeout_s * len(commands) + 15.0
        output = await self._shell.run(text, stdin=stdin, timeout_s=limit, max_bytes=MAX_BYTES)
        parts = split(nonce, output.stdout, output.stderr)
        if ping:
            self._check_ping(parts.get("ping", Part()), output.stderr)
        if output.outcome is Outcome.TIMEOUT:
            raise TimedOutError(
                f"{self.name} did not answer within {limit:.0f} s", hint="is its login node overloaded?"
            )
        if output.outcome is Outcome.CUT:
            raise ParseError(f"{self.name} printed more than {MAX_BYTES >> 20} MiB", hint="its answer was not used")
        if output.outcome is Outcome.LOST:
            raise UnreachableError(f"{self.name}: the connection ended before the answer did")
        return parts

    def _check_ping(self, ping: Part, stderr: str) -> None:
        if ping.status == 127:
            raise NotFoundError(
                f"{self.name}: no scontrol there", hint="set `bin` of its [[schedulers]] table to the folder of Slurm"
            )
        if ping.timed_out:
            raise TimedOutError(
                f"{self.name}: `scontrol ping` did not end within {PING_TIMEOUT_S:.0f} s",
                hint="slurmctld or munged hangs there",
            )
        if " is UP" in ping.out and ping.status is not None:
            return
        said = ping.err or ping.out.strip() or stderr.strip()
        raise UnreachableError(
            f"{self.name}: the controller does not answer ({short(said) or 'nothing was said'})",
            hint="what it said last stays, with its age; look at slurmctld there",
        )

    def _text(self, parts: Mapping[str, Part], name: str) -> str:
        part = parts.get(name, Part())
        if part.timed_out:
            raise TimedOutError(f"{self.name}: the query for {name} did not end in time", hint="slurmctld is busy")
        if part.status is None:
            raise ParseError(f"{self.name}: half an answer, {name} is cut short", hint="asked again at the next round")
        if part.status != 0:
            raise ParseError(
                f"{self.name}: the query for {name} failed: {short(part.err)}", hint="try it by hand there"
            )
        return part.out

    async def _change(self, *words: str, stdin: bytes = b"") -> Part:
        """Run one command that changes something. Raises what its error message means."""
        if self._settings.read_only:
            raise ConflictError(f"{self.name} is read only", hint="fleet.toml says so: read_only")
        prefix = shlex.split(self._settings.prefix)
        nonce = secrets.token_hex(8)
        parts = await self._ask({"change": (*prefix, *words)}, nonce, stdin=stdin)
        part = parts.get("change", Part())
        if part.status == 0:
            return part
        raise self._meaning(part, words)

    def _meaning(self, part: Part, words: Sequence[str]) -> FleetctlError:
        said, low = short(part.err or part.out), (part.err + part.out).lower()
        what = f"{self.name}: {' '.join(words[:3])}"
        if part.status is None or part.timed_out:
            return TimedOutError(
                f"{what} did not end in time; nobody knows whether it was done", hint="it is read back"
            )
        if part.status == 127:
            return NotFoundError(f"{what}: {said or 'no such command'}", hint="set `bin` of its [[schedulers]] table")
        if any(w in low for w in ("invalid user id", "permission denied", "access denied", "a password is required")):
            return AuthError(
                f"{what}: refused ({said})",
                hint='needs root, SlurmUser or AdminLevel=Administrator there, or prefix = "sudo -n" with a rule for it',
            )
        if any(w in low for w in ("invalid node name", "invalid job id", "reservation is invalid")):
            return NotFoundError(f"{what}: {said}")
        if any(w in low for w in ("unable to contact", "connection refused", "timed out", "munge")):
            return UnreachableError(f"{what}: {said}")
        return ConflictError(f"{what}: {said or f'exit status {part.status}'}")

    async def _ask_rights(self, *, fresh: bool = False) -> Rights:
        now = self._clock.monotonic()
        if self._rights is None or fresh or now - self._rights_at > RIGHTS_FOR_S:
            parts = await self._ask(RIGHTS_COMMANDS, secrets.token_hex(8))
            self._rights, self._rights_at = read_rights(parts, prefix=self._settings.prefix), now
        return self._rights

    @staticmethod
    def _version(text: str) -> str:
        match = re.search(r"\b(\d{2}\.\d{2}(?:\.\d{1,3})?)\b", text)
        return match[1] if match else ""


def is_known(version: str) -> bool:
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and _KNOWN[0] <= (int(match[1]), int(match[2])) <= _KNOWN[1]


def to_cancel(job: str) -> str:
    """As scancel wants it: an array without its limit; of a heterogeneous job the whole, for no part of it can go alone."""
    return re.sub(r"\+\d+$|%\d+(?=\]$)", "", job)


def _class(qos: str, nice: int | None) -> list[str]:
    return [*([f"--qos={qos}"] if qos else []), *([] if nice is None else [f"--nice={nice}"])]


def other_class(name: str, qos: str, told: str) -> ConflictError:
    """told: as it says, (null) for none."""
    return ConflictError(
        f"{name} took the job without QOS {qos}: it says {known_name(told) or 'none'}",
        hint="a QOS needs accounting there (slurmdbd); see `classes` of its [[schedulers]] table",
    )


def minutes(seconds: int) -> int:
    """Time limits of Slurm are whole minutes."""
    return max(1, -(-seconds // 60))


def moment(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def plain(text: str) -> str:
    """One printable line: a reason is shown on many terminals."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def short(text: str) -> str:
    """In one line, without the starred banner `scontrol ping` draws under a dead controller."""
    return " ".join(" ".join(line for line in text.splitlines() if not line.startswith("***")).split())[:200]
