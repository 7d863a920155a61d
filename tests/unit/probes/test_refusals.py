"""What a tool says instead of an answer, in every form of every plugin that shares the words of the shell."""

from __future__ import annotations

import pytest

from fleetctl.model.probe import Output
from fleetctl.model.reading import FindingKind
from fleetctl.plugin import Parser, load_plugin

_VENDORS = ("mthreads", "enflame", "gaudi", "intel", "thead", "tenstorrent", "neuron", "denglin")
_FORMS = [p for v in _VENDORS for p in load_plugin(v).parsers if not p.name.endswith((".kernel", ".detect"))]
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
    assert kind in {f.kind for f in result.findings}


def test_a_lost_ppu_is_a_fault_with_its_address() -> None:
    form = next(p for p in _FORMS if p.name == "thead.table")
    result = form.parse(
        Output("Unable to determine the device handle for PPU 0000:01:00.0: Unknown Error\n", exit_status=1)
    )
    assert [(f.family, f.code, f.device) for f in result.faults] == [("bus", "lost", "0000:01:00.0")]
