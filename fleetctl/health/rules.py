"""The rules of the core, in one table. Vendors add theirs through Plugin.rules."""

from __future__ import annotations

from collections.abc import Iterator

from fleetctl.health.rule import Condition, Seen, rule
from fleetctl.model.probe import Outcome
from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.model.report import Block, ErrorKind
from fleetctl.model.states import Health, Reach

_GIB = 1024**3


def _column(block: Block, name: str) -> int | None:
    return block.columns.index(name) if name in block.columns else None


def _over(block: Block, name: str, limit: float) -> Iterator[tuple[int, float]]:
    """(device index, value) of the devices whose value is above the limit; unknown values are not above anything."""
    at = _column(block, name)
    if at is None:
        return
    for index, row in enumerate(block.rows):
        value = row[at]
        if value is not None and value > limit:
            yield index, float(value)


def _label(block: Block, index: int) -> str:
    device = block.devices[index]
    return f"{device.vendor or block.kind} {device.index if device.index is not None else device.key}"


# Reach -----------------------------------------------------------------------------------------------------------


@rule("unreachable")
def unreachable(seen: Seen) -> Iterator[Condition]:
    """The host does not answer."""
    report = seen.report
    if report.reach is Reach.UNREACHABLE and report.error not in (ErrorKind.AUTH, ErrorKind.HOST_KEY):
        yield Condition("unreachable", report.host, None, Health.CRIT, report.error_text or "no answer")


@rule("refused", hold_rounds=1)
def refused(seen: Seen) -> Iterator[Condition]:
    """The host refuses us, or is not who it was."""
    report = seen.report
    if report.error in (ErrorKind.AUTH, ErrorKind.HOST_KEY):
        yield Condition("refused", report.host, None, Health.CRIT, report.error_text or str(report.error))


@rule("probe_hung")
def probe_hung(seen: Seen) -> Iterator[Condition]:
    """A tool on the host does not end; the host itself answers."""
    for state in seen.report.probes:
        if state.outcome in (Outcome.HUNG, Outcome.TIMEOUT):
            text = state.text or f"{state.probe} did not end in time"
            yield Condition("probe_hung", seen.report.host, state.probe, Health.WARN, text)


@rule("tool_failed", needs="host")
def tool_failed(seen: Seen) -> Iterator[Condition]:
    """A vendor's tool ran and said no, or its output could not be read."""
    said: set[str] = set()
    # Where another probe read the cards, a second tool that says no costs details, not the card.
    known = {FindingKind.UNREADABLE, FindingKind.TOO_LARGE} | (
        {FindingKind.TOOL_FAILED} if "card" not in seen.blocks else set()
    )
    for finding in seen.report.findings:
        if finding.kind in known and finding.text not in said and len(said) < 8:
            said.add(finding.text)
            severity = Health.CRIT if finding.kind is FindingKind.TOOL_FAILED else Health.WARN
            yield Condition("tool_failed", seen.report.host, finding.text[:80], severity, finding.text)


# Host ------------------------------------------------------------------------------------------------------------


@rule("disk_full", needs="host", unit="%")
def disk_full(seen: Seen) -> Iterator[Condition]:
    """A local file system runs full."""
    for _, value in _over(seen.blocks["host"], "disk_used_pct", seen.thresholds.disk_warn_pct):
        severity = Health.CRIT if value > seen.thresholds.disk_crit_pct else Health.WARN
        yield Condition("disk_full", seen.report.host, None, severity, f"fullest file system at {value:.0f} %", value)


@rule("memory_full", needs="host", unit="%")
def memory_full(seen: Seen) -> Iterator[Condition]:
    """Host memory is nearly used up."""
    block = seen.blocks["host"]
    used, total = _column(block, "mem_used_bytes"), _column(block, "mem_total_bytes")
    if used is None or total is None:
        return
    for row in block.rows:
        a, b = row[used], row[total]
        if a is not None and b and 100 * a / b > seen.thresholds.mem_warn_pct:
            share = 100 * a / b
            text = f"memory {share:.0f} % used, {(b - a) / _GIB:.1f} GiB left"
            yield Condition("memory_full", seen.report.host, None, Health.WARN, text, share)


@rule("procs_stuck", needs="host")
def procs_stuck(seen: Seen) -> Iterator[Condition]:
    """Many processes sit in uninterruptible sleep: storage or a driver hangs."""
    for _, value in _over(seen.blocks["host"], "procs_d", seen.thresholds.procs_d_warn - 0.5):
        yield Condition("procs_stuck", seen.report.host, None, Health.WARN, f"{value:.0f} processes in state D", value)


@rule("clock_skew", needs="host", unit="s")
def clock_skew(seen: Seen) -> Iterator[Condition]:
    """The host's clock disagrees with the console's."""
    block = seen.blocks["host"]
    at = _column(block, "clock_skew_s")
    for row in block.rows if at is not None else ():
        value = row[at] if at is not None else None
        if value is not None and abs(value) > seen.thresholds.clock_skew_warn_s:
            text = f"clock {abs(value):.0f} s {'ahead' if value > 0 else 'behind'}"
            yield Condition("clock_skew", seen.report.host, None, Health.WARN, text, float(value))


# Cards -----------------------------------------------------------------------------------------------------------


@rule("cards_missing", needs="host")
def cards_missing(seen: Seen) -> Iterator[Condition]:
    """Fewer cards answer than the host should have."""
    cards = seen.blocks.get("card")
    found = sum(1 for device in cards.devices if device.parent is None) if cards else 0
    expected = max(seen.host.cards or 0, seen.report.devices_expected or 0)
    if cards is not None and found < expected:
        text = f"{found} of {expected} cards answer"
        yield Condition("cards_missing", seen.report.host, None, Health.CRIT, text, float(expected - found))


_UNREAD_ROUNDS = 4  # a tool that takes its full time limit has answered by then


@rule("cards_unread", needs="host", hold_rounds=_UNREAD_ROUNDS)
def cards_unread(seen: Seen) -> Iterator[Condition]:
    """The host should have cards, and no tool has read any."""
    if "card" not in seen.blocks and seen.host.cards and not _card_tool_hangs(seen):
        text = f"0 of {seen.host.cards} cards answer: no tool reads them"
        yield Condition("cards_unread", seen.report.host, None, Health.CRIT, text, float(seen.host.cards))


def _card_tool_hangs(seen: Seen) -> bool:
    """No card was read, but a tool hangs: that is said by probe_hung, and says nothing about the cards."""
    return any(state.outcome in (Outcome.HUNG, Outcome.TIMEOUT) for state in seen.report.probes)


@rule("card_hot", needs="card", unit="°C")
def card_hot(seen: Seen) -> Iterator[Condition]:
    """A card is close to or beyond its temperature limit."""
    block = seen.blocks["card"]
    for index, value in _over(block, "temp_c", seen.thresholds.card_temp_warn_c):
        severity = Health.CRIT if value > seen.thresholds.card_temp_crit_c else Health.WARN
        text = f"{_label(block, index)}: {value:.0f} °C"
        yield Condition("card_hot", seen.report.host, block.devices[index].key, severity, text, value)


@rule("ecc_uncorrected", needs="card", hold_rounds=1)
def ecc_uncorrected(seen: Seen) -> Iterator[Condition]:
    """A card has uncorrected memory errors since the driver was loaded."""
    block = seen.blocks["card"]
    for index, value in _over(block, "ecc_uncorrected_total", 0):
        text = f"{_label(block, index)}: {value:.0f} uncorrected memory errors"
        yield Condition("ecc_uncorrected", seen.report.host, block.devices[index].key, Health.CRIT, text, value)


@rule("row_remap", needs="card", hold_rounds=1)
def row_remap(seen: Seen) -> Iterator[Condition]:
    """A card waits for a reset to remap memory rows, or has no spare row left."""
    block = seen.blocks["card"]
    for name, severity, words in (
        ("row_remap_failed", Health.CRIT, "row remapping failed: no spare row; replace"),
        ("row_remap_pending", Health.WARN, "row remapping pending: reset when idle"),
        ("pages_pending", Health.WARN, "page retirement pending: reset when idle"),
    ):
        for index, value in _over(block, name, 0):
            text = f"{_label(block, index)}: {words}"
            yield Condition("row_remap", seen.report.host, f"{block.devices[index].key} {name}", severity, text, value)


@rule("pcie_degraded", needs="card")
def pcie_degraded(seen: Seen) -> Iterator[Condition]:
    """A card runs with fewer PCIe lanes than it and its slot have."""
    block = seen.blocks["card"]
    now, most = _column(block, "pcie_width"), _column(block, "pcie_width_max")
    if now is None or most is None:
        return
    for index, row in enumerate(block.rows):
        width, full = row[now], row[most]
        if width is not None and full is not None and 0 < width < full:
            text = f"{_label(block, index)}: PCIe x{width:.0f} of x{full:.0f}"
            yield Condition(
                "pcie_degraded", seen.report.host, block.devices[index].key, Health.WARN, text, float(width)
            )


@rule("links_down", needs="card")
def links_down(seen: Seen) -> Iterator[Condition]:
    """Card-to-card links are down."""
    block = seen.blocks["card"]
    up, total = _column(block, "links_up"), _column(block, "links_total")
    if up is None or total is None:
        return
    for index, row in enumerate(block.rows):
        now, full = row[up], row[total]
        if now is not None and full is not None and now < full:
            text = f"{_label(block, index)}: {now:.0f} of {full:.0f} links up"
            yield Condition("links_down", seen.report.host, block.devices[index].key, Health.WARN, text, float(now))


_SENSOR_MIN_UTIL_PCT = 80.0
_SENSOR_MAX_POWER_W = 20.0  # below the idle draw of every data-centre card; seen: a node of busy DCUs at 8.0 W each


@rule("power_sensor", needs="card", unit="W")
def power_sensor(seen: Seen) -> Iterator[Condition]:
    """A busy card says it draws next to nothing: its power sensor is not to be believed."""
    block = seen.blocks["card"]
    power, util = _column(block, "power_w"), _column(block, "util_pct")
    if power is None or util is None:
        return
    for index, row in enumerate(block.rows):
        watts, busy = row[power], row[util]
        shared = "power_w" in block.devices[index].shares or block.devices[index].parent is not None
        if (
            watts is not None
            and busy is not None
            and busy > _SENSOR_MIN_UTIL_PCT
            and watts < _SENSOR_MAX_POWER_W
            and not shared
        ):
            text = f"{_label(block, index)}: {watts:.0f} W at {busy:.0f} % utilisation: sensor broken"
            yield Condition("power_sensor", seen.report.host, block.devices[index].key, Health.WARN, text, float(watts))


# Faults ----------------------------------------------------------------------------------------------------------

_SEVERITY = {
    FaultAction.OBSERVE: None,
    FaultAction.RESTART_WORK: None,
    FaultAction.RESET_WHEN_IDLE: Health.WARN,
    FaultAction.RESET_NOW: Health.CRIT,
    FaultAction.STOP_NEW_WORK: Health.CRIT,
    FaultAction.ISOLATE: Health.CRIT,
    FaultAction.REPAIR: Health.CRIT,
}


def fault_severity(action: FaultAction | None) -> Health | None:
    """How bad a fault is; None means it is an event only. A fault nobody can rate is a warning, not nothing."""
    return _SEVERITY[action] if action is not None else Health.WARN
