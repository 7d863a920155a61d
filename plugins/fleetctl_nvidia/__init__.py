"""NVIDIA: nvidia-smi, NVML, dcgm-exporter, Xid and SXid. README.md is the data sheet."""

from pathlib import Path

from fleetctl.plugin import Plugin
from fleetctl_nvidia.burns import BURNS
from fleetctl_nvidia.kernel import kernel_faults
from fleetctl_nvidia.parsers import PARSERS
from fleetctl_nvidia.probes import PROBES

_HERE = Path(__file__).parent
plugin = Plugin(
    name="nvidia",
    title="NVIDIA GPUs",
    doc="nvidia-smi query, XML, table and lists; NVML in-process; dcgm-exporter; Xid and SXid lines",
    probes=PROBES,
    burns=BURNS,
    parsers=PARSERS,
    paths=("/usr/lib/wsl/lib", "/run/nvidia/driver/usr/bin"),
    lease_env={
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "{indexes}",
        "NVIDIA_VISIBLE_DEVICES": "{uuids}",
    },
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
)
