"""Huawei Ascend: npu-smi, hccn_tool, npu-exporter, device logs. README.md is the data sheet."""

from pathlib import Path

from fleetctl.plugin import Plugin
from fleetctl_ascend.burns import BURNS
from fleetctl_ascend.logs import kernel_faults
from fleetctl_ascend.parsers import PARSERS
from fleetctl_ascend.probes import PROBES

_HERE = Path(__file__).parent
plugin = Plugin(
    name="ascend",
    title="Huawei Ascend NPUs",
    doc="npu-smi info in all its layouts and -t forms, hccn_tool, npu-exporter, exception codes",
    probes=PROBES,
    burns=BURNS,
    parsers=PARSERS,
    paths=("/usr/local/bin", "/usr/local/sbin", "/usr/local/Ascend/driver/tools"),
    lease_env={"ASCEND_RT_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
)
