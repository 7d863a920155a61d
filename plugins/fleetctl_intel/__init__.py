"""Intel data center GPUs: xpu-smi, which shares its name with another maker's tool. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_intel.kernel import kernel_faults
from fleetctl_intel.parsers import PARSERS, parse_discovery, parse_dump

_HERE = Path(__file__).parent
_OURS = "[ -e /dev/xpu0 ] && exit 1; command -v xpu-smi >/dev/null 2>&1 && [ -e /dev/dri ]"
_METRICS = "0,1,2,3,4,17,18"
_PROPERTIES = "1,2,4,5,6,8,9,11,12,13,14,16"  # the list of devices alone has no memory size

plugin = Plugin(
    name="intel",
    title="Intel data center GPUs",
    doc="xpu-smi discovery, stats, dump and ps",
    probes=(
        Probe(
            name="intel.dump",
            command="n=$(xpu-smi discovery -j 2>/dev/null | sed -n 's/.*\"device_id\": *\\([0-9]*\\).*/\\1/p' | paste -sd, -); "
            f'[ -n "$n" ] && xpu-smi dump -d "$n" -m {_METRICS} -i 1 -n 2 2>&1',
            parse=parse_dump,
            detect=_OURS,
            timeout_s=20.0,
            doc="two samples a second apart, for the first knows no utilisation",
        ),
        Probe(
            name="intel.discovery",
            command=f"o=$(xpu-smi discovery --dump {_PROPERTIES} 2>/dev/null) && case $o in *'Device ID'*) true;; *) false;; esac "
            "&& printf '%s\\n' \"$o\" || xpu-smi discovery -j 2>&1",
            parse=parse_discovery,
            detect=_OURS,
            timeout_s=20.0,
            every_s=3600.0,
            background=True,
            doc="names, addresses, UUIDs, memory size",
        ),
    ),
    parsers=PARSERS,
    lease_env={"ZE_AFFINITY_MASK": "{indexes}"},
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
    paths=("/opt/intel/xpum/bin", "/usr/bin"),
)
