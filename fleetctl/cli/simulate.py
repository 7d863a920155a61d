"""`fleetctl simulate`: replay a trace through the scheduler, to try a policy before it is switched on."""

from __future__ import annotations

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
            "fleet, easy, fifo, or both as easy+best-fit; empty: what runs the fleet"
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
    placements: Annotated[
        Path | None, typer.Option(help="write every decision to this file, one JSON line per node", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="for what is drawn by lot")] = 0,
    output: OutputOption = Format.TABLE,
) -> None:
    """Replay a trace through the scheduler and print allocation, waiting, slowdown, utilisation, fragments, power."""
    import time

    from fleetctl.scheduler.packing.record import placement_lines
    from fleetctl.scheduler.packing.replay import Choices, replay
    from fleetctl.scheduler.packing.trace import read_jobs, read_nodes
    from fleetctl.views.simulation import figures_table

    specs = _fleet() if nodes == "fleet" else read_nodes(Path(nodes))
    tasks = read_jobs(jobs)
    choices = Choices(mode.value, policy, estimate.value, seed, _drains(drain or (), specs), _catalogue_power())
    figures, decisions = replay(specs, tasks, choices, time.perf_counter)
    if placements is not None:
        _write(placements, placement_lines(decisions, specs))
        say(f"{placements}: {len(decisions)} decisions")
    if output in (Format.JSON, Format.YAML):
        print_data(figures, output)
    else:
        print_table(figures_table(figures), output)


def _write(path: Path, lines: Iterable[str]) -> None:
    from fleetctl.errors import UsageError

    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}", hint="--placements FILE") from error


def _drains(texts: Sequence[str], specs: Sequence[NodeSpec]) -> tuple[Drain, ...]:
    from fleetctl.inventory.nodesets import expand
    from fleetctl.scheduler.packing.drain import parse_drain

    return tuple(parse_drain(text, specs, expand) for text in texts)


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
