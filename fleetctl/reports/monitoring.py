"""What monitoring systems read: Nagios plugins, Checkmk local checks, Prometheus text files. Pure but for the rename.

Formats: Monitoring Plugins development guidelines (ranges, performance data), Checkmk local checks, the Prometheus
text exposition format. Numbers are in the C locale, unknown values are `U` (Nagios) or left out (Checkmk, Prometheus).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from fleetctl.errors import FleetctlError, UsageError
from fleetctl.i18n import _


class Status(IntEnum):
    """Exit codes of check commands."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


# Blind is never green: not knowing is worse than a warning, as in Health.rank.
_WORSE = {Status.OK: 0, Status.WARNING: 1, Status.UNKNOWN: 2, Status.CRITICAL: 3}


def worst(statuses: Iterable[Status]) -> Status:
    """The status that monitoring should show for several: critical before unknown before warning."""
    return max(statuses, key=_WORSE.__getitem__, default=Status.OK)


@dataclass(frozen=True, slots=True)
class Range:
    """A threshold: alert outside low..high, both ends allowed; inside when `inside` (the @ form). text: as typed."""

    low: float
    high: float
    inside: bool
    text: str

    def alerts(self, value: float) -> bool:
        within = self.low <= value <= self.high
        return within if self.inside else not within


_RANGE = re.compile(r"(@)?(?:(~|[+-]?\d+(?:\.\d+)?)?(:))?([+-]?\d+(?:\.\d+)?)?$")


def parse_range(text: str) -> Range:
    """`10` is 0..10, `10:` is 10 and more, `~:10` is 10 and less, `10:20`, `@10:20` alerts inside. Raises UsageError."""
    found = _RANGE.match(text.strip())
    if found is None or not (found[2] or found[4]):
        raise UsageError(
            _("{text} is not a range").format(text=repr(text)), hint=_("write 10, 10:, ~:10, 10:20 or @10:20")
        )
    low = -math.inf if found[2] == "~" else float(found[2] or 0)
    high = float(found[4]) if found[4] else math.inf
    if low > high:
        raise UsageError(_("{text} is not a range").format(text=repr(text)), hint=_("its start is above its end"))
    return Range(low, high, found[1] is not None, text.strip())


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a check. unit: "", "s", "%" or "B" (no others exist in Nagios); value None: unknown."""

    name: str
    value: float | None
    unit: str = ""
    warn: Range | None = None
    crit: Range | None = None
    low: float | None = None
    high: float | None = None

    @property
    def status(self) -> Status:
        """Unknown only matters where somebody set a threshold."""
        if self.value is None:
            return Status.UNKNOWN if self.warn or self.crit else Status.OK
        if self.crit is not None and self.crit.alerts(self.value):
            return Status.CRITICAL
        if self.warn is not None and self.warn.alerts(self.value):
            return Status.WARNING
        return Status.OK


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found. details: further lines for people, most important first."""

    text: str
    measures: tuple[Measure, ...] = ()
    details: tuple[str, ...] = ()
    least: Status = Status.OK

    @property
    def status(self) -> Status:
        return worst([self.least, *(m.status for m in self.measures)])


def number(value: float) -> str:
    """As few digits as the value needs, never an exponent, never a comma."""
    return str(int(value)) if float(value).is_integer() else f"{value:.6f}".rstrip("0").rstrip(".")


def nagios(result: CheckResult) -> str:
    """`STATUS - text | 'label'=value[unit];warn;crit;min;max`, details on the lines after it."""
    first = f"{result.status.name} - {_plain(result.text)}"
    if result.measures:
        first += " | " + " ".join(_perfdata(m) for m in result.measures)
    return "\n".join([first, *(_plain(line) for line in result.details)]) + "\n"


def _perfdata(measure: Measure) -> str:
    label = _plain(measure.name).replace("'", "''").replace("=", "_")
    value = "U" if measure.value is None else f"{number(measure.value)}{measure.unit}"
    fields = [
        value,
        measure.warn.text if measure.warn else "",
        measure.crit.text if measure.crit else "",
        "" if measure.low is None else number(measure.low),
        "" if measure.high is None else number(measure.high),
    ]
    return f"'{label}'={';'.join(fields).rstrip(';')}"


def checkmk(result: CheckResult, service: str) -> str:
    """`0 "Service" metric=1;2;3|other=4 text`: one line, details after a literal \\\\n."""
    metrics = "|".join(
        f"{re.sub(r'[^A-Za-z0-9_.-]', '_', m.name)}={';'.join(_levels(m)).rstrip(';')}"
        for m in result.measures
        if m.value is not None
    )
    text = "\\n".join([_plain(result.text), *(_plain(line) for line in result.details)])
    name = _plain(service).replace('"', "'")
    return f'{int(result.status)} "{name}" {metrics or "-"} {text}\n'


def _levels(measure: Measure) -> list[str]:
    """Checkmk takes upper levels as numbers and lower:upper pairs; what it cannot say (@, ~) stays empty."""

    def level(limit: Range | None) -> str:
        if limit is None or limit.inside:
            return ""
        if limit.low in (0.0, -math.inf):
            return "" if limit.high == math.inf else number(limit.high)
        return f"{number(limit.low)}:{'' if limit.high == math.inf else number(limit.high)}"

    assert measure.value is not None
    return [
        number(measure.value),
        level(measure.warn),
        level(measure.crit),
        "" if measure.low is None else number(measure.low),
        "" if measure.high is None else number(measure.high),
    ]


def _plain(text: str) -> str:
    """One line of printable text without the bar that starts performance data."""
    return "".join(c if c.isprintable() else " " for c in text).replace("|", "/").strip()


@dataclass(frozen=True, slots=True)
class Gauge:
    """One Prometheus metric with its samples. name: prefixed and ending in its unit, as Prometheus wants it."""

    name: str
    doc: str
    samples: tuple[tuple[Mapping[str, str], float | None], ...] = field(default_factory=tuple)


def prometheus(gauges: Iterable[Gauge]) -> str:
    """The text exposition format, without timestamps; unknown samples are left out."""
    lines = []
    for gauge in gauges:
        known = [(labels, value) for labels, value in gauge.samples if value is not None and math.isfinite(value)]
        if not known:
            continue
        lines.append(f"# HELP {gauge.name} {gauge.doc}")
        lines.append(f"# TYPE {gauge.name} gauge")
        lines += [f"{gauge.name}{_labels(labels)} {number(value)}" for labels, value in known]
    return "\n".join([*lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escape = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return "{" + ",".join(f'{k}="{v.translate(escape)}"' for k, v in labels.items()) + "}"


def write_textfile(path: Path, text: str) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never half of one.

    Raises FleetctlError naming the file. The temporary name does not end in .prom, so no collector takes it.
    """
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False, encoding="utf-8"
        ) as handle:
            temporary = handle.name
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o644)  # the collector runs as another user
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise FleetctlError(f"{path}: {error.strerror}", hint=_("the directory must exist and be writable")) from error
