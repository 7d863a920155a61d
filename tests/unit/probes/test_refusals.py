"""What a tool says instead of an answer, in every form of every plugin that shares the words of the shell."""

from __future__ import annotations

import pytest

from fleetctl.model.probe import Output
from fleetctl.model.reading import FindingKind
from fleetctl.plugin import Parser, load_plugin

_VENDORS = ("mthreads", "enflame", "gaudi", "intel", "thead", "tenstorrent", "neuron", "denglin",
            "nvidia", "ascend", "amd", "hygon", "metax", "cambricon", "iluvatar", "kunlunxin", "biren")  # fmt: skip
_LOGS = (".kernel", ".detect", ".fabric", ".log")  # forms in which such words are a line among others
_EXPORTERS = ("exporter", ".dcgm")  # no tool: without cards they print no sample
_FORMS = [p for v in _VENDORS for p in load_plugin(v).parsers if not p.name.endswith(_LOGS)]
_SAID = (
    ("No devices found", FindingKind.NO_DEVICES),
    ("bash: tool: command not found", FindingKind.MISSING_TOOL),
    ("/usr/bin/tool: No such file or directory", FindingKind.MISSING_TOOL),
    ("Permission denied", FindingKind.NOT_PERMITTED),
    ("Segmentation fault (core dumped)", FindingKind.TOOL_FAILED),
    (
        "error while loading shared libraries: libx.so: cannot open shared object file: No such file or directory",
        FindingKind.TOOL_FAILED,
    ),
)


@pytest.mark.parametrize("form", _FORMS, ids=lambda p: p.name)
@pytest.mark.parametrize(("text", "kind"), _SAID, ids=[k.value + str(i) for i, (_, k) in enumerate(_SAID)])
def test_refusal_is_told_apart(form: Parser, text: str, kind: FindingKind) -> None:
    result = form.parse(Output(text + "\n", exit_status=1))
    assert not result.readings
    if kind is not FindingKind.NO_DEVICES or not form.name.endswith(_EXPORTERS):
        assert kind in {f.kind for f in result.findings}


def test_a_lost_ppu_is_a_fault_with_its_address() -> None:
    form = next(p for p in _FORMS if p.name == "thead.table")
    result = form.parse(
        Output("Unable to determine the device handle for PPU 0000:01:00.0: Unknown Error\n", exit_status=1)
    )
    assert [(f.family, f.code, f.device) for f in result.faults] == [("bus", "lost", "0000:01:00.0")]


_NVIDIA_SAID = (
    (
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "
        "driver is installed and running.",
        FindingKind.TOOL_FAILED,
        ["not_loaded"],
    ),
    (
        "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display "
        "Driver is properly installed and present in your system.",
        FindingKind.TOOL_FAILED,
        ["library_missing"],
    ),
    (
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95",
        FindingKind.TOOL_FAILED,
        ["library_mismatch"],
    ),
    ("Failed to initialize NVML: Insufficient Permissions", FindingKind.NOT_PERMITTED, []),
    ("Failed to initialize NVML: Unknown Error", FindingKind.TOOL_FAILED, ["nvml_failed"]),
)


@pytest.mark.parametrize("name", ["nvidia.query", "nvidia.xml", "nvidia.table", "nvidia.list"])
@pytest.mark.parametrize(("text", "kind", "codes"), _NVIDIA_SAID, ids=[t[:60] for t, _, _ in _NVIDIA_SAID])
def test_nvidia_driver_states_are_told_apart(name: str, text: str, kind: FindingKind, codes: list[str]) -> None:
    form = next(p for p in _FORMS if p.name == name)
    result = form.parse(Output(text + "\n", exit_status=9))
    assert {f.kind for f in result.findings} == {kind}
    assert [f.code for f in result.faults if f.family == "driver"] == codes
