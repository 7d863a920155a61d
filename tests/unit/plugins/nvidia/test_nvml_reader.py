"""The in-process reader against a library that answers as libnvidia-ml does: its text is what the parser reads."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pytest

from fleetctl.model.probe import Output
from fleetctl.probes.blocks import kind_views
from fleetctl_nvidia import nvml_reader
from fleetctl_nvidia.parsers import NVML_COLUMNS, parse_nvml
from fleetctl_nvidia.probes import PROBES


class Library:
    """Two cards; every call fills what it was given by reference and returns 0. `lost`: the second does not answer."""

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        self.nvmlErrorString = lambda rc: b"GPU is lost"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: self._call(name, args)

    def _call(self, name: str, args: tuple[Any, ...]) -> int:
        refs = [a._obj for a in args if hasattr(a, "_obj")]
        numbers = {
            "nvmlDeviceGetCount_v2": 2, "nvmlDeviceGetPowerUsage": 627_400, "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetTemperature": 52, "nvmlDeviceGetClockInfo": 1980, "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetPerformanceState": 0, "nvmlDeviceGetCurrPcieLinkGeneration": 5,
            "nvmlDeviceGetCurrPcieLinkWidth": 16, "nvmlDeviceGetComputeRunningProcesses_v3": 3,
            "nvmlDeviceGetTotalEnergyConsumption": 5_000_000, "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4,
        }  # fmt: skip
        words = {"nvmlDeviceGetUUID": "GPU-9a9a6c50-2a47", "nvmlDeviceGetName": "NVIDIA H200", "nvmlDeviceGetSerial": "165",
                 "nvmlDeviceGetVbiosVersion": "96.00", "nvmlSystemGetDriverVersion": "590.48.01"}  # fmt: skip
        if name == "nvmlDeviceGetHandleByIndex_v2":
            return 15 if self.lost and args[0].value == 1 else 0
        if name in words:
            buffer = next(a for a in args if isinstance(a, ctypes.Array))
            buffer.value = words[name].encode()
            return 0
        if name in numbers:
            refs[-1].value = numbers[name]
            return 0
        if name == "nvmlDeviceGetUtilizationRates":
            refs[0].gpu, refs[0].memory = 100, 7
        elif name == "nvmlDeviceGetMemoryInfo_v2":
            refs[0].total, refs[0].used = 143771 << 20, 32362 << 20
        elif name == "nvmlDeviceGetPciInfo_v3":
            refs[0].text = b"00000000:83:00.0"
        elif name in ("nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetRemappedRows"):
            for ref in refs:
                ref.value = 0
        elif name in ("nvmlDeviceGetFanSpeed", "nvmlDeviceGetMigMode", "nvmlDeviceGetFieldValues"):
            return 3  # not supported
        return 0


@pytest.fixture
def library() -> Iterator[Library]:
    nvml_reader._lib = Library()
    yield nvml_reader._lib
    nvml_reader._lib = None


def test_what_it_prints_is_what_the_parser_reads(library: Library) -> None:
    result = parse_nvml(Output(nvml_reader.read()))
    assert [r.device.index for r in result.readings] == ["0", "1"]
    card = result.readings[0]
    assert (card.device.uuid, card.device.model, card.device.pci) == (
        "GPU-9a9a6c50-2a47",
        "NVIDIA H200",
        "0000:83:00.0",
    )
    assert card.device.driver == "590.48.01"
    assert card.values["power_w"] == 627.4
    assert card.values["mem_used_bytes"] == 32362 << 20
    assert card.values["throttled"] == 1
    assert card.values["fan_pct"] is None
    assert card.values["mem_temp_c"] is None
    assert card.values["energy_j"] == 5000
    assert not result.findings


def test_only_the_last_line_changes_from_round_to_round_and_it_alone_can_travel(library: Library) -> None:
    [probe] = [p for p in PROBES if p.name == "nvidia.nvml"]
    assert probe.columns == NVML_COLUMNS
    result = probe.parse(Output(nvml_reader.read()))
    [view] = kind_views(result.readings, {}, probe.columns).values()
    assert tuple(view.columns) == NVML_COLUMNS


def test_a_card_that_is_lost_is_a_fault_and_the_other_is_still_read(library: Library) -> None:
    library.lost = True
    result = parse_nvml(Output(nvml_reader.read()))
    assert len(result.readings) == 1
    assert [(f.family, f.code) for f in result.faults] == [("bus", "lost")]


def test_a_mismatch_of_driver_and_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(Library):
        def _call(self, name: str, args: tuple[Any, ...]) -> int:
            return 18 if name == "nvmlInit_v2" else super()._call(name, args)

    refusing = Refusing()
    refusing.nvmlErrorString = lambda rc: b"Driver/library version mismatch"
    monkeypatch.setattr(ctypes, "CDLL", lambda name: refusing)
    result = parse_nvml(Output(nvml_reader.read()))
    assert [(f.family, f.code) for f in result.faults] == [("driver", "library_mismatch")]


def test_the_reader_is_self_contained() -> None:
    [probe] = [p for p in PROBES if p.name == "nvidia.nvml"]
    assert "fleetctl" not in probe.python
    names: dict[str, Any] = {}
    exec(compile(probe.python, "reader", "exec"), names)
    assert callable(names["read"])
