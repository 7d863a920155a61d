"""node_exporter: the host's own figures from an exporter that already runs. README.md tells more."""

from __future__ import annotations

from collections.abc import Iterable

from fleetctl.model.probe import Output
from fleetctl.model.reading import Device, ProbeResult, Reading, Value
from fleetctl.plugin import Parser, Plugin
from fleetctl.probes.prometheus import Sample, looks_like_exporter, samples
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import plausible

_PLAIN = {"node_load1": "load1", "node_memory_MemTotal_bytes": "mem_total_bytes", "node_procs_blocked": "procs_d"}
_NOT_LOCAL = ("tmpfs", "overlay", "squashfs", "ramfs", "nfs", "nfs4", "fuse", "iso9660", "devtmpfs", "autofs", "proc")
_NOT_PHYSICAL = ("lo", "veth", "docker", "br-", "virbr", "cali", "flannel", "cni", "tun", "tap", "bond", "ifb", "dummy")


def _known(found: Iterable[Sample | tuple[int, str]], sheet: Sheet) -> list[Sample]:
    kept = []
    for item in found:
        if isinstance(item, tuple):
            sheet.unread("a line that is no sample", item[1], item[0])
        elif item.name.startswith("node_"):
            kept.append(item)
    return kept


def parse_exporter(output: Output) -> ProbeResult:
    """One reading of kind "host"; CPU use is a difference of two pages and stays unknown here."""
    sheet = Sheet("node")
    text = sheet.text_of(output)
    known = _known(samples(text), sheet)
    if not known:
        if text.strip():
            sheet.unread("no sample of node_exporter in it", text)
        return sheet.result()
    one = {s.name: s.value for s in known if not s.labels}
    values: dict[str, Value] = {ours: one.get(theirs) for theirs, ours in _PLAIN.items()}
    values["mem_used_bytes"] = _less(one, "node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes")
    values["swap_used_bytes"] = _less(one, "node_memory_SwapTotal_bytes", "node_memory_SwapFree_bytes")
    values["uptime_s"] = _less(one, "node_time_seconds", "node_boot_time_seconds")
    cores = {s.labels.get("cpu") for s in known if s.name == "node_cpu_seconds_total"}
    values["cores"] = len(cores) or None
    for ours, theirs in (("net_rx_bytes_total", "receive"), ("net_tx_bytes_total", "transmit")):
        name = f"node_network_{theirs}_bytes_total"
        values[ours] = _sum(s.value for s in known if s.name == name and _physical(s.labels.get("device", "")))
    _disks(known, values)
    clean = {k: v if v is None or plausible(k, v) else None for k, v in values.items()}
    facts = {k: v for s in known if s.name == "node_uname_info" for k, v in s.labels.items()}
    reading = Reading(Device("host", "host"), clean)
    result = sheet.result()
    return ProbeResult(readings=(reading,), findings=result.findings, facts=facts)


def _less(one: dict[str, float | int | None], total: str, free: str) -> Value:
    a, b = one.get(total), one.get(free)
    return None if a is None or b is None or a < b else a - b


def _sum(values: Iterable[Value]) -> Value:
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def _physical(device: str) -> bool:
    return bool(device) and not device.startswith(_NOT_PHYSICAL)


def _disks(known: list[Sample], values: dict[str, Value]) -> None:
    """Room on the fullest local file system."""
    sizes: dict[str, dict[str, float]] = {}
    for sample in known:
        is_size = sample.name in ("node_filesystem_size_bytes", "node_filesystem_avail_bytes")
        if is_size and sample.value is not None and not sample.labels.get("fstype", "").startswith(_NOT_LOCAL):
            sizes.setdefault(sample.labels.get("mountpoint", ""), {})[sample.name] = sample.value
    shares = []
    for rows in sizes.values():
        size, free = rows.get("node_filesystem_size_bytes"), rows.get("node_filesystem_avail_bytes")
        if size and free is not None and 0 <= free <= size:
            shares.append((round(100 * (1 - free / size), 1), free))
    used, room = max(shares, default=(None, None))
    values["disk_used_pct"], values["disk_free_bytes"] = used, room


plugin = Plugin(
    name="node",
    title="node_exporter",
    doc="the host's figures from an exporter that already runs",
    parsers=(
        Parser(
            "node.exporter",
            "curl localhost:9100/metrics",
            parse_exporter,
            lambda text: looks_like_exporter(text, "node_", "# HELP node_", "# HELP go_"),
        ),
    ),
)
