"""Parse tests as data: a text and what is to be read of it. A new case is two files in tests/fixtures/<plugin>/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetctl.plugin import load_plugin, plugin_names
from fleetctl.probes.json_form import result_dict
from fleetctl.probes.parsing import exit_code, parse_text

ROOT = Path(__file__).resolve().parents[2] / "fixtures"
CASES = [p for p in sorted(ROOT.glob("*/*.txt")) if p.parent.name in plugin_names() and p.with_suffix(".json").exists()]


def _slim(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if v not in (None, [], {}, "")}


@pytest.mark.parametrize("path", CASES, ids=[f"{p.parent.name}/{p.stem}" for p in CASES])
def test_a_text_is_read_as_stated(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    text = path.read_text(encoding="utf-8")
    parsed = parse_text(load_plugin(path.parent.name), text, command=expected["command"])
    read = result_dict(parsed.result)
    assert [_slim(d) for d in read["devices"]] == expected["devices"]
    assert [[f["family"], f["code"], f["device"]] for f in read["faults"]] == expected["faults"]
    assert [[str(f["kind"]), f["text"]] for f in read["findings"]] == expected["findings"]
    assert [_slim(p) for p in read["processes"]] == expected["processes"]
    assert read["devices_expected"] == expected["devices_expected"]
    assert parsed.parser == expected["parser"]
    assert exit_code(parsed.result) == expected["exit"]
