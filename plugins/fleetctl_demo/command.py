"""`fleetctl demo`: a simulated fleet in a child process, and the console (or three rounds) on it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fleetctl.errors import FleetctlError, UsageError

app = typer.Typer()


@app.command()
def demo(
    hosts: Annotated[int, typer.Option(help="hosts in all; 0: as many as the fleet has", min=0, max=12_500)] = 0,
    fleet: Annotated[str, typer.Option(help="city, centres, provinces or large")] = "city",
    seed: Annotated[int, typer.Option(help="another number, another fleet life")] = 1,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="a fault that stays on: down, hang, lost, hot, ecc, disk, skew, auth or garbage on hosts, dark on BMCs,"
            " over on racks, leak or flow on CDUs; on some, or on KIND=NAMES"
        ),
    ] = None,
    interval: Annotated[float, typer.Option(help="seconds between rounds", min=1, max=3600)] = 5.0,
    headless: Annotated[
        bool, typer.Option("--headless", help="no screen: poll some rounds, print the status, exit")
    ] = False,
    rounds: Annotated[int, typer.Option(help="rounds to poll with --headless", min=1)] = 3,
    output: Annotated[
        str, typer.Option("--output", "-o", help="with --headless: table, wide, json, yaml, csv or name")
    ] = "table",
    folder: Annotated[Path | None, typer.Option("--dir", help="keep fleet.toml and the database here")] = None,
) -> None:
    """Serve a simulated fleet behind real SSH servers on loopback, and open the console on it."""
    spec = {
        "fleet": _fleet(fleet),
        "hosts": hosts,
        "seed": seed,
        "faults": _faults(fault or []),
        "interval_s": 1.0 if headless else interval,
    }
    with _folder(folder) as place, _serving(place, spec) as config:
        if headless:
            raise typer.Exit(_poll_and_print(config, rounds, output))
        from fleetctl.cli import context
        from fleetctl.cli.console import open_console

        context.set_options(replace(context.options(), config=config))
        open_console()


def _fleet(name: str) -> str:
    """The name itself, refused here: the servers' process could say no only in its own words."""
    from fleetctl_demo.fleets import find_fleet

    find_fleet(name)
    return name


def _faults(words: list[str]) -> list[tuple[str, str]]:
    from fleetctl_demo.building import FACILITY_FAULTS
    from fleetctl_demo.machine import FAULTS

    known = FAULTS | FACILITY_FAULTS
    found = []
    for word in words:
        kind, _, nodes = word.partition("=")
        if kind not in known:
            raise UsageError(f"no fault named {kind!r}", hint=f"known: {', '.join(known)}")
        found.append((kind, nodes))
    return found


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="fleetctl-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def _serving(folder: Path, spec: dict[str, object]) -> Iterator[Path]:
    """The servers in a child process that ends with us; yields the path of its fleet.toml."""
    command = [sys.executable, "-m", "fleetctl_demo.serve", str(folder)]
    log = (folder / "servers.log").open("wb")
    with (
        log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(spec).encode() + b"\n")
            child.stdin.flush()
            said = child.stdout.readline().decode()
            if not said.startswith("ready "):
                child.wait()
                why = (folder / "servers.log").read_text(errors="replace").strip().splitlines()
                raise FleetctlError(
                    f"the demo servers did not start: {why[-1] if why else 'no reason given'}",
                    hint="try fewer: --hosts 20",
                )
            yield Path(said.removeprefix("ready ").rstrip("\n"))
        finally:
            child.stdin.close()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


def _poll_and_print(config: Path, rounds: int, output: str) -> int:
    from fleetctl.cli import context

    environment = {**os.environ, "FLEETCTL_CONFIG": str(config)}
    if lang := context.options().lang:
        environment["FLEETCTL_LANG"] = lang
    program = [sys.executable, "-m", "fleetctl"]
    polled = subprocess.run(
        [*program, "engine", "run", "--rounds", str(rounds)], env=environment, stdout=sys.stderr, check=False
    )
    if polled.returncode:
        return polled.returncode
    return subprocess.run([*program, "status", "-o", output], env=environment, check=False).returncode
