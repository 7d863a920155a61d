"""AMD: amd-smi, rocm-smi, the metrics exporter, RAS lines. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_amd.amd_smi import parse_json
from fleetctl_amd.burns import BURNS
from fleetctl_amd.kernel import kernel_faults
from fleetctl_amd.parsers import PARSERS, parse_rocm_json

_HERE = Path(__file__).parent
_PATH = "PATH=$PATH:/opt/rocm/bin:/usr/sbin"
_CARD = (
    "for d in /sys/bus/pci/devices/*; do read -r v <$d/vendor && read -r c <$d/class && "
    'case "$v$c" in 0x10020x12*|0x10020x038*|0x10020x030*) exit 0;; esac; done 2>/dev/null; exit 1'
)

plugin = Plugin(
    name="amd",
    title="AMD Instinct and Radeon GPUs",
    doc="amd-smi, rocm-smi, device metrics exporter, RAS lines of the kernel",
    burns=BURNS,
    probes=(
        Probe(
            name="amd.smi",
            command=f"{_PATH}; amd-smi metric --json 2>/dev/null",
            parse=parse_json,
            detect=f"{_PATH}; command -v amd-smi >/dev/null 2>&1 && exit 0; {_CARD}",
            timeout_s=20.0,
            doc="power, temperatures, use, memory, clocks, ECC, PCIe",
        ),
        Probe(
            name="amd.static",
            command=f"{_PATH}; amd-smi static --json 2>/dev/null",
            parse=parse_json,
            detect=f"{_PATH}; command -v amd-smi >/dev/null 2>&1",
            timeout_s=30.0,
            every_s=3600.0,
            background=True,
            doc="names, serials, addresses, limits, partitions",
        ),
        Probe(
            name="amd.rocm",
            command=f"{_PATH}; rocm-smi --showuse --showmemuse --showmeminfo vram --showpower --showmaxpower --showtemp "
            "--showserial --showuniqueid --showbus --showproductname --showclocks --showfan --json 2>/dev/null",
            parse=parse_rocm_json,
            detect=f"{_PATH}; command -v amd-smi >/dev/null 2>&1 && exit 1; [ -e /opt/dtk ] && exit 1; "
            "command -v rocm-smi >/dev/null 2>&1",
            timeout_s=20.0,
            doc="the older tool, where there is no amd-smi",
        ),
    ),
    parsers=PARSERS,
    paths=("/opt/rocm/bin", "/usr/sbin"),
    lease_env={"ROCR_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
)
