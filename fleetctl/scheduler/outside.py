"""One endpoint of an outside scheduler: read it, keep what it says with its age, and bring it what is wanted of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from fleetctl.clock import Clock
from fleetctl.config.schema import Config, Scheduler
from fleetctl.errors import FleetctlError, StoreError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.outside import OutsideJob, OutsideWindow
from fleetctl.scheduler.backend import Backend, BackendJob, BackendNode, BackendView
from fleetctl.scheduler.ordering import carry_out, match_windows, order_ends
from fleetctl.scheduler.outside_leases import LATE_S, ask_fates, match_jobs, serve
from fleetctl.scheduler.telling import look, tell
from fleetctl.store.connections import Connections
from fleetctl.store.outside import (
    list_orders,
    note_partitions,
    replace_jobs,
    replace_windows,
    save_endpoint_answer,
    save_endpoint_trouble,
    save_node_words,
)
from fleetctl.store.plans import list_backend_steps
from fleetctl.store.words import clean

REST_S = 10.0  # after something told did not take effect


class Lane:
    """silent: its last round had no answer; nothing is told to it until one comes."""

    def __init__(
        self,
        settings: Scheduler,
        backend: Backend,
        db: Connections,
        inventory: Inventory,
        clock: Clock,
        config: Config | None = None,
    ) -> None:
        self.name = backend.name
        self.silent = True
        self._settings = settings
        self._backend = backend
        self._db = db
        self._hosts = inventory.hosts
        self._config = config or Config()
        self._partitions: Mapping[str, tuple[str, ...]] = {}
        self._clock = clock
        self._rest_until = 0.0
        self._nodes: Mapping[str, BackendNode] = {}  # what the store holds of it
        self._jobs: Sequence[BackendJob] | None = None
        self._windows: tuple[OutsideWindow, ...] | None = None
        self._refused: dict[str, int] = {}  # reservations it would not make or give back, and when

    async def round(self) -> bool:
        """Read and keep; then act. False when it did not answer: then all it said stays as it was."""
        began = int(self._clock.now())
        try:
            view = await look(self._db, self._backend, int(self._clock.now()), self._hosts, self._nodes)
        except StoreError:
            raise
        except FleetctlError as error:
            self.silent = True
            self._note_trouble(error)
            return False
        self._nodes = view.nodes
        self._keep(view)
        self.silent = False
        fates = await ask_fates(self._db, self._backend, view)
        for job in match_jobs(self._db, self._config, self.name, view, began, fates):
            with contextlib.suppress(FleetctlError):  # found again at the next round
                await self._backend.cancel(job)
        order_ends(self._db, self.name, int(self._clock.now()))
        await match_windows(self._db, self._backend, view, self._hosts, int(self._clock.now()), self._refused)
        await self.act()
        return True

    async def act(self) -> None:
        """Tell it what is open. Cheap when nothing is."""
        now = int(self._clock.now())
        with self._db.read() as conn:
            steps = any(step.backend == self.name for step in list_backend_steps(conn))
            orders = list_orders(conn, backend=self.name)
        if steps and self._clock.monotonic() >= self._rest_until:
            self._nodes = {}  # their words are kept anew
            told = await tell(self._db, self._backend, now)
            if told.again:  # it did not answer, or did not do it: no hammering
                self._rest_until = self._clock.monotonic() + REST_S
        for order in orders:
            await carry_out(self._db, self._backend, order, now, late_s=self._late_s)
        await serve(self._db, self._backend, self._config, self._partitions, now, late_s=self._late_s)

    @property
    def _late_s(self) -> float:
        """How long after it was begun a command may still come to effect."""
        return self._settings.timeout_s + LATE_S

    def _note_trouble(self, error: FleetctlError) -> None:
        with self._db.write() as conn:
            save_endpoint_trouble(
                conn,
                self.name,
                self._settings.kind,
                self._settings.site,
                int(self._clock.now()),
                trouble=clean(str(error), 400),
                hint=clean(error.hint, 400),
            )

    def _keep(self, view: BackendView) -> None:
        at, known = int(view.at), [n for h, n in view.nodes.items() if h in self._hosts]
        windows = tuple(
            OutsideWindow(self.name, w.name, w.hosts, w.start_at, w.end_at, w.users, w.flags, w.ours)
            for w in view.reservations
        )
        with self._db.write() as conn:
            save_endpoint_answer(
                conn,
                self.name,
                self._settings.kind,
                self._settings.site,
                at,
                version=clean(view.version, 40),
                nodes=len(view.nodes),
                strangers=len(view.nodes) - len(known),
            )
            if view.partitions != self._partitions:
                note_partitions(conn, self.name, view.nodes)
            if view.jobs != self._jobs:
                replace_jobs(conn, self.name, [_job(self.name, job) for job in view.jobs])
            if windows != self._windows:
                replace_windows(conn, self.name, windows)
            save_node_words(conn, self.name, at, broken(self.name, known), [n.host for n in known])
        self._jobs, self._windows, self._partitions = view.jobs, windows, view.partitions


def broken(backend: str, nodes: list[BackendNode]) -> dict[str, str]:
    """Hosts the scheduler itself finds something wrong with, though nobody drained them, and its words for it."""
    return {
        n.host: f"{backend} says {n.word}" + (f": {n.reason}" if n.reason else "")
        for n in nodes
        if not n.held and (n.responding is False or n.state.value == "cordoned")
    }


def _job(backend: str, job: BackendJob) -> OutsideJob:
    return OutsideJob(
        backend,
        clean(job.id, 100),
        clean(job.name, 200),
        clean(job.user, 100),
        clean(job.account, 100),
        clean(job.state, 40),
        clean(job.partition, 100),
        job.hosts,
        job.cards,
        job.nodes,
        job.submitted_at,
        job.start_at,
        job.end_at,
        clean(job.reason, 200),
        job.places,
        clean(job.qos, 80),
    )
