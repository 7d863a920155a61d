"""The second client: only where the first understands nothing, never with a secret in its arguments, never for long."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Credentials, parse_url
from fleetctl_ipmi.source import IpmiSource

SCRIPT = """#!/bin/sh
echo "$IPMI_PASSWORD $*" >> {log}
case "$*" in
*dcmi*) echo "    Instantaneous power reading:   614 Watts"; echo "    Power reading state is:   activated";;
*full*) printf 'Inlet T\\351mp | 01h | ok | 64.1 | 23 degrees C\\nFan1 | 02h | ns | 29.1 | No Reading\\n';;
*compact*) echo "Intrusion | 11h | ok | 35.1 | General Chassis intrusion";;
*status*) echo "Chassis Power is on";;
esac
"""


class Tool:
    def __init__(self, folder: Path, script: str = SCRIPT) -> None:
        self.log = folder / "log"
        file = folder / "ipmitool"
        file.write_text(script.format(log=self.log))
        file.chmod(0o755)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def source_that(error: Exception, url: str = "ipmi://bmc1", timeout_s: float = 5.0) -> IpmiSource:
    source = IpmiSource(parse_url(url, credentials=Credentials("fleet", "s3cret"), timeout_s=timeout_s))

    async def run(_: Any) -> Any:
        raise error

    source.session.run = run  # type: ignore[method-assign]
    return source


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


async def test_the_second_client_reads_what_the_first_cannot(path: Path) -> None:
    tool, source = Tool(path), source_that(ParseError("odd bytes"))
    report = await source.read()
    assert (report.total_power_w, report.total_power_source) == (614, "DCMI power reading via ipmitool")
    assert [(r.where, r.value) for r in report.readings] == [("DCMI", 614), ("Inlet Témp", 23)]
    assert [u.where for u in report.unknown] == ["Fan1"]
    assert [(s.where, s.word) for s in report.states] == [("chassis", "on"), ("Intrusion", "General Chassis intrusion")]
    assert all(p.source.endswith("via ipmitool") for p in (*report.readings, *report.states, *report.unknown))
    assert len(tool.calls()) == 4
    for call in tool.calls():
        password, _, arguments = call.partition(" ")
        assert password == "s3cret"
        assert "s3cret" not in arguments
        assert arguments.startswith("-I lanplus -C 3 -N 2 -R 1 -E -U fleet -H bmc1 -p 623 ")
    assert (await source.poll()).total_power_w == 614
    assert len(tool.calls()) == 5, "a poll asks for DCMI alone, and the first client is left alone for a while"


@pytest.mark.parametrize("error", [AuthError("refused"), UnreachableError("dead"), TimedOutError("slow")])
async def test_no_second_try_for_a_refused_password_or_a_dead_bmc(path: Path, error: FleetctlError) -> None:
    tool = Tool(path)
    with pytest.raises(type(error)):
        await source_that(error).read()
    assert tool.calls() == []


async def test_without_the_tool_the_first_error_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ParseError, match="odd bytes"):
        await source_that(ParseError("odd bytes")).read()


async def test_no_session_is_tried_once(path: Path) -> None:
    tool = Tool(
        path, '#!/bin/sh\necho "$*" >> {log}\necho "Error: Unable to establish IPMI v2 / RMCP+ session"\nexit 1\n'
    )
    source = source_that(ParseError("no cipher suite"), "ipmi://bmc1?cipher=17")
    with pytest.raises(UnreachableError, match="no session"):
        await source.read()
    with pytest.raises(ParseError, match="no cipher suite"):
        await source.read()
    assert len(tool.calls()) == 1
    assert " -C 17 " in tool.calls()[0]


async def test_a_tool_that_hangs_is_stopped(path: Path) -> None:
    Tool(path, "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(TimedOutError, match="did not end"):
        await source_that(ParseError("odd bytes"), timeout_s=0.2).read()


async def test_a_tool_that_never_stops_printing_is_cut(path: Path) -> None:
    Tool(path, "#!/bin/sh\nexec yes 'Fan1 | 02h | ok | 29.1 | 5000 RPM'\n")
    report = await source_that(ParseError("odd bytes")).read()
    assert len(report.readings) < 5_000
    assert report.findings
