"""The forms of ixsmi through the readers of its family, and ix-exporter's text."""

from __future__ import annotations

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.exporter import Exporter, exporter_parser
from fleetctl.probes.prometheus import Sample, looks_like_exporter
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser, text_parser, xml_parser
from fleetctl.probes.smi.csv_form import looks_like_csv

FIELDS = (
    "index", "uuid", "name", "gpu_bus_id", "gpu_serial", "memory.total", "memory.used", "utilization.gpu",
    "temperature.gpu", "gpu.power.draw", "gpu.power.limit",
)  # fmt: skip


def refusal(sheet: Sheet, text: str) -> bool:
    """ixsmi's own errors."""
    low = text[:4000].lower()
    if low.lstrip().startswith("timestamp") and "\n" not in low.strip():
        return True
    if "no devices were found" in low or "no device" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif shell_refusal(sheet, text):
        return True
    elif "failed to initialize" in low or "driver not loaded" in low or "couldn't communicate" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "ixml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


def finish(sheet: Sheet) -> None:
    """Dies of one board follow each other: the first has no power, the next has the board's."""
    for first, second in zip(sheet.cards, sheet.cards[1:], strict=False):
        same = first.fields.get("model") is not None and first.fields.get("model") == second.fields.get("model")
        missing = first.values.get("power_w") is None and "power_w" in first.values
        if same and missing and second.values.get("power_w") is not None:
            first.shares = ("power_w", "power_cap_w")


FAMILY = Family(vendor="iluvatar", refusal=refusal, finish=finish)
parse_query = csv_parser(FAMILY, (FIELDS,))
parse_xml = xml_parser(FAMILY, ("ixsmi_log",))


def _special(sheet: Sheet, card: Card | None, sample: Sample) -> bool:
    if sample.name == "ix_process_info":
        if card is not None and sample.labels.get("process_pid"):
            memory = None if sample.value is None else str(sample.value)
            sheet.process(card, sample.labels["process_pid"], sample.labels.get("process_name"), memory, "MiB")
        return True
    if sample.name in ("ix_xid_errors", "ix_last_xid", "ix_xid") and card is not None:
        if sample.value:
            place = card.fields.get("uuid") or card.fields.get("index")
            sheet.fault(
                "xid", str(int(sample.value)), "the exporter's last Xid; no list of these is public", device=place
            )
        return True
    return False


EXPORTER = Exporter(
    vendor="iluvatar",
    prefix="ix_",
    metrics={
        "ix_gpu_utilization": ("util_pct", "%"),
        "ix_mem_used": ("mem_used_bytes", "MiB"),
        "ix_mem_total": ("mem_total_bytes", "MiB"),
        "ix_power_usage": ("power_w", "W"),
        "ix_temperature": ("temp_c", "C"),
        "ix_gpu_temperature": ("temp_c", "C"),
        "ix_sm_clock": ("clock_mhz", "MHz"),
        "ix_mem_clock": ("mem_clock_mhz", "MHz"),
        "ix_fan_speed": ("fan_pct", "%"),
        "ix_ecc_sbe_vol_total": ("ecc_corrected_total", ""),
        "ix_ecc_dbe_vol_total": ("ecc_uncorrected_total", ""),
    },
    labels={"index": ("gpu",), "uuid": ("uuid",), "model": ("name",)},
    key=("uuid", "gpu"),
    special=_special,
)

PARSERS = (
    Parser("iluvatar.query", "ixsmi --query-gpu=... --format=csv", parse_query,
           lambda text: "+---" not in text[:4096] and "<" not in text[:64] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (FIELDS,), asked=command)),
    Parser("iluvatar.xml", "ixsmi -q -x", parse_xml, lambda text: "<ixsmi_log" in text[:8192]),
    Parser("iluvatar.table", "ixsmi", table_parser(FAMILY), lambda text: "IX-ML" in text[:8192] and "|" in text[:8192]),
    Parser("iluvatar.full", "ixsmi -q", text_parser(FAMILY),
           lambda text: "IXSMI LOG" in text[:8192].upper() or "\nGPU 0000" in text[:8192]),
    Parser("iluvatar.list", "ixsmi -L", list_parser(FAMILY), lambda text: text.startswith("GPU ") and "(UUID:" in text[:4096]),
    Parser("iluvatar.exporter", "curl :32021/metrics", exporter_parser(EXPORTER),
           lambda text: looks_like_exporter(text, "ix_", "# HELP ix_")),
    detect_parser("iluvatar"),
)  # fmt: skip
