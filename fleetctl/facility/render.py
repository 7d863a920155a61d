"""A report as plain data for JSON, and as rows for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fleetctl.facility.quantity import rounded
from fleetctl.model.facility import EndpointReport


def stamp(at: float) -> str:
    """Epoch seconds as UTC with seconds, as every JSON of fleetctl writes moments."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report_json(report: EndpointReport) -> dict[str, Any]:
    """Everything one endpoint said. `readings` holds only numbers that were read; `unknown` what it names and lacks."""
    return {
        "url": report.url,
        "kind": report.kind,
        "at": stamp(report.at),
        "device": dict(report.device),
        "total_power_w": None if report.total_power_w is None else rounded(report.total_power_w),
        "total_power_source": report.total_power_source or None,
        "complete": report.complete,
        "readings": [
            {
                "quantity": r.quantity,
                "where": r.where,
                "value": rounded(r.value),
                "unit": r.unit,
                "source": r.source,
                "raw": r.raw,
                "as_of": stamp(r.as_of),
            }
            for r in report.readings
        ],
        "states": [
            {
                "what": s.what,
                "where": s.where,
                "word": s.word,
                "bad": s.bad,
                "source": s.source,
                "raw": s.raw,
                "as_of": stamp(s.as_of),
            }
            for s in report.states
        ],
        "unknown": [
            {"quantity": u.quantity, "where": u.where, "source": u.source, "raw": u.raw} for u in report.unknown
        ],
        "findings": [{"kind": f.kind.value, "text": f.text, "source": f.source} for f in report.findings],
    }
