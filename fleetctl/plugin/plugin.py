"""What a plugin hands over: one frozen object with everything it declares.

A plugin is a module named in the entry-point group `fleetctl.plugins` with a module attribute `plugin`. Nothing is
called and nothing is registered: the object is the data sheet (ADR 0002).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetctl.model.burn import Burn
from fleetctl.model.metric import Metric
from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import Fault, ProbeResult


@dataclass(frozen=True, slots=True)
class Parser:
    """A reader for one form of a tool's output that may be held against a recording.

    command: the command line whose output this reads, as a person would type it; looks: says whether a text looks
    like this form (cheap: a few substrings of the first kilobytes); parse: never raises. for_command: a parse for one
    command line, where the output alone does not say what its columns are (CSV without header).
    """

    name: str
    command: str
    parse: Callable[[Output], ProbeResult]
    looks: Callable[[str], bool]
    for_command: Callable[[str], Callable[[Output], ProbeResult]] | None = None


@dataclass(frozen=True, slots=True)
class Plugin:
    """Everything one vendor, device family or engine brings.

    probes: asked of hosts; parsers: every output form that can be read, best first (`fleetctl probe parse`);
    chips and faults: CSV files in the format of docs/reference/chips.md and faults.md; metrics: beyond the core's;
    rules: functions of fleetctl.health; sources: facility endpoints by URL scheme; backends: schedulers by name;
    commands: name -> "module:attribute" of a Typer app, with one help line. kernel_faults: faults of this vendor in new
    lines of the kernel log, as `dmesg --time-format=iso` prints them (`2026-11-21T22:30:00,123456+00:00 NVRM: ...`;
    a line may lack its time); pure, cheap for lines of others, never raises; () if there are none. paths: folders on the
    host where the tools may sit off the PATH; they are appended to it.
    """

    name: str
    title: str
    doc: str = ""
    probes: tuple[Probe, ...] = ()
    parsers: tuple[Parser, ...] = ()
    chips: Path | None = None
    faults: Path | None = None
    metrics: tuple[Metric, ...] = ()
    rules: tuple[Any, ...] = ()
    kernel_faults: Callable[[Sequence[str]], tuple[Fault, ...]] | None = None
    paths: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)  # scheme -> "module:attribute"
    backends: Mapping[str, str] = field(default_factory=dict)  # name -> "module:attribute"
    commands: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # name -> ("module:attribute", help)
    burns: tuple[Burn, ...] = ()  # short tests under load, best first: the first that a host has is run
    lease_env: Mapping[str, str] = field(default_factory=dict)  # {"CUDA_VISIBLE_DEVICES": "{indexes}"}
