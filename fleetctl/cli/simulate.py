"""`fleetctl simulate`: replay a trace through the scheduler, to try a policy before it is switched on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_table, say

if TYPE_CHECKING:
    from fleetctl.scheduler.packing.drain import Drain
    from fleetctl.scheduler.packing.node import NodeSpec
    from fleetctl.scheduler.packing.power import CardPower
    from fleetctl.scheduler.packing.tenancy import Quota

app = typer.Typer()


class Mode(StrEnum):
    FILL = "fill"
    QUEUE = "queue"


class Estimate(StrEnum):
    USER = "user"
    HISTORY = "history"
    EXACT = "exact"


@app.command()
def simulate(
    nodes: Annotated[
        str,
        typer.Option(
            help="CSV file `sn,cpu_milli,memory_mib,gpu,model[,site,rack,power_cap_w]`, or fleet: the real one",
            show_default=False,
        ),
    ],
    jobs: Annotated[
        Path,
        typer.Option(
            help="CSV file, .gz too: openb's `name,cpu_milli,memory_mib,num_gpu,gpu_milli,...`, or `job,submit_s,"
            "duration_s,gpus[,gpu_milli,cpu_milli,memory_mib,model,tenant,estimate_s,site,movable]`",
            show_default=False,
        ),
    ],
    mode: Annotated[
        Mode,
        typer.Option(
            help="fill: arrivals in file order, nothing ends, what does not fit is lost; queue: time runs, jobs wait"
        ),
    ] = Mode.FILL,
    policy: Annotated[
        str,
        typer.Option(
            help="where jobs go: fgd, power, best-fit, first-fit, tightest, random; in a queue also who is next: "
            "fleet, easy, fifo, or both as easy+best-fit; +kept: no promise is passed, as live; empty: fleet+fgd"
        ),
    ] = "",
    estimate: Annotated[
        Estimate,
        typer.Option(help="how long jobs are thought to run: as their users said, as jobs like them ran, or exactly"),
    ] = Estimate.USER,
    drain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODES@TIME",
            help="take nodes out at a time (seconds; arrivals when filling; 90%: when that share of cards is taken); "
            "their jobs are placed again; may be given again",
            show_default=False,
        ),
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TENANT=CARDS[/SHARE]",
            help="in a queue, what a tenant may hold at once (none: no limit) and its weight in fair share; with --nodes fleet"
            " beside those of fleet.toml; may be given again",
            show_default=False,
        ),
    ] = None,
    placements: Annotated[
        Path | None, typer.Option(help="write every decision to this file, one JSON line per node", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="for what is drawn by lot")] = 0,
    output: OutputOption = Format.TABLE,
) -> None:
    """Replay a trace through the scheduler and print allocation, waiting, slowdown, utilisation, fragments, power."""
    from fleetctl.config.schema import Scheduling
    from fleetctl.errors import UsageError
    from fleetctl.scheduler.packing.record import placement_lines
    from fleetctl.scheduler.packing.replay import Choices, parse_policy, replay
    from fleetctl.scheduler.packing.trace import read_jobs, read_nodes
    from fleetctl.views.simulation import figures_table

    parse_policy(policy, mode.value)  # what is misspelt is said before anything is read
    quotas = _quotas(quota or (), fleet=nodes == "fleet")
    if quota and mode is not Mode.QUEUE:
        raise UsageError("quotas hold in a queue, and filling has none", hint="--mode queue")
    rules = context.config().scheduling if nodes == "fleet" else Scheduling()
    if placements is not None:
        _try_to_write(placements, (Path(nodes), jobs))
    progress = _Progress()
    try:
        specs = _fleet() if nodes == "fleet" else read_nodes(Path(nodes))
        tasks = read_jobs(jobs, progress.reading)
        choices = Choices(
            *(mode.value, policy, estimate.value, seed, _drains(drain or (), specs), _catalogue_power()),
            quotas=quotas,
            half_life_s=rules.fair_half_life_s,
            known_tenants_only=rules.known_tenants_only,
        )
        spent = time.process_time()
        figures, decisions = replay(specs, tasks, choices, time.perf_counter, progress.placing)
        spent = time.process_time() - spent
    finally:
        progress.clear()
    # On a machine that others use too, the clock says more of them than of the scheduler.
    decided = len(tasks) if mode is Mode.FILL else len(decisions)
    figures["speed"]["decisions_per_cpu_s"] = round(decided / spent, 1) if spent > 0 else None
    if placements is not None:
        _write(placements, placement_lines(decisions, specs))
        say(f"{placements}: {len(decisions)} decisions")
        if alike := len(tasks) - len({t.name for t in tasks}):
            say(f"{alike} jobs have the name of one before them: placements do not tell them apart")
    if output in (Format.JSON, Format.YAML):
        print_data(figures, output)
    else:
        print_table(figures_table(figures), output)


def _try_to_write(path: Path, read: Iterable[Path]) -> None:
    """Before a long replay: can the file be written, and is it none of those that are read? Raises UsageError."""
    from fleetctl.errors import UsageError

    try:
        if any(other.exists() and path.exists() and path.samefile(other) for other in read):
            raise UsageError(f"{path}: is read, and would be overwritten", hint="--placements with another name")
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}", hint="--placements FILE") from error


def _write(path: Path, lines: Iterable[str]) -> None:
    from fleetctl.errors import FleetctlError

    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise FleetctlError(
            f"{path}: cannot be written: {error.strerror}", hint="free disk space, try again"
        ) from error


class _Progress:
    """Says on standard error how far a replay is, once it has taken a second.

    On a terminal one line that is drawn again, elsewhere a line every ten seconds.
    """

    FIRST_S = 1.0
    LOG_EVERY_S = 10.0
    DRAW_EVERY_S = 0.25
    LOOK_EVERY = 64  # calls between two looks at the clock

    def __init__(self) -> None:
        self._drawn = sys.stderr.isatty()
        self._next_at = time.monotonic() + self.FIRST_S
        self._calls = 0
        self._shown = False

    def reading(self, lines: int) -> None:
        if self._is_due():
            self._show(f"read {lines:,} jobs")

    def placing(self, done: int, total: int) -> None:
        if self._is_due():
            self._show(f"placed {done:,} of {total:,} jobs")

    def clear(self) -> None:
        if self._shown and self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _is_due(self) -> bool:
        self._calls += 1
        return self._calls % self.LOOK_EVERY == 0 and time.monotonic() >= self._next_at

    def _show(self, text: str) -> None:
        self._shown = True
        self._next_at = time.monotonic() + (self.DRAW_EVERY_S if self._drawn else self.LOG_EVERY_S)
        start, end = ("\r\x1b[K", "") if self._drawn else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def _drains(texts: Sequence[str], specs: Sequence[NodeSpec]) -> tuple[Drain, ...]:
    from fleetctl.inventory.nodesets import expand
    from fleetctl.scheduler.packing.drain import parse_drain

    return tuple(parse_drain(text, specs, expand) for text in texts)


def _quotas(texts: Sequence[str], *, fleet: bool) -> dict[str, Quota]:
    """Tenant -> what it may hold: of fleet.toml where the fleet is the real one, then what was said."""
    from fleetctl.errors import UsageError
    from fleetctl.scheduler.packing.tenancy import Quota

    tenants = context.config().tenants if fleet else ()
    found = {t.name: Quota(t.max_cards, t.max_leases, t.share) for t in tenants}
    for text in texts:
        name, _, rest = text.partition("=")
        cards, _, share = rest.partition("/")
        try:
            most, weight = None if cards == "none" else float(cards), float(share or 1.0)
        except ValueError:
            most, weight = -1.0, 1.0
        if not name or not (most is None or most >= 0) or not 0 < weight < float("inf"):
            raise UsageError(f"--quota {text}: no quota", hint="--quota lab=64, lab=64/2 (share 2), lab=none/2")
        found[name] = Quota(most, None, weight)
    return found


def _fleet() -> list[NodeSpec]:
    """The real fleet, without nodes that are out of service."""
    from fleetctl.errors import NotFoundError
    from fleetctl.scheduler.fleet_nodes import fleet_nodes

    with context.database() as db, db.read() as conn:
        specs, left_out = fleet_nodes(conn, context.inventory(), context.config(), int(context.now()))
    if left_out:
        say(f"left out: {left_out} nodes that are out of service or whose cards are not known")
    if not specs:
        raise NotFoundError(
            "no node in service with known cards", hint="`fleetctl poll` asks them; or --nodes FILE.csv"
        )
    return specs


def _catalogue_power() -> dict[str, CardPower]:
    from fleetctl.plugin.catalogue import catalogue
    from fleetctl.scheduler.packing.power import IDLE_SHARE, CardPower

    return {c.chip: CardPower(c.power_w * IDLE_SHARE, c.power_w) for c in catalogue().chips if c.power_w}
