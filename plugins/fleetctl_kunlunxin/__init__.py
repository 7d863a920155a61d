"""Kunlunxin XPU: xpu-smi, which shares its name with another maker's tool. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_kunlunxin.parsers import PARSERS, parse_machine, parse_table

_HERE = Path(__file__).parent
_PATH = "PATH=$PATH:/usr/local/xpu/bin:/usr/local/xpu/tools:/opt/xre/bin"

plugin = Plugin(
    name="kunlunxin",
    title="Kunlunxin XPUs",
    doc="xpu-smi -m, device table of the older xpu_smi, -q",
    probes=(
        Probe(
            name="kunlunxin.machine",
            command=f"{_PATH}; xpu-smi -m 2>&1",
            parse=parse_machine,
            detect=f"{_PATH}; [ -e /dev/xpu0 ] && command -v xpu-smi >/dev/null 2>&1",
            timeout_s=15.0,
            doc="one line per chip; the device file tells this tool from its namesake",
        ),
        Probe(
            name="kunlunxin.table",
            command=f"{_PATH}; xpu_smi 2>&1",
            parse=parse_table,
            detect=f"{_PATH}; command -v xpu-smi >/dev/null 2>&1 && exit 1; command -v xpu_smi >/dev/null 2>&1",
            timeout_s=15.0,
            doc="the older tool: use and memory only",
        ),
    ),
    parsers=PARSERS,
    paths=("/usr/local/xpu/bin", "/opt/xre/bin"),
    lease_env={"XPU_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
)
