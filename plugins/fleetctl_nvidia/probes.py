"""What is asked of a host with NVIDIA cards, and how often."""

from __future__ import annotations

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.probes.fetch import fetch, serves
from fleetctl_nvidia.parsers import (
    FIELDS,
    LEAST,
    NVML_COLUMNS,
    USERS,
    parse_dcgm,
    parse_detail,
    parse_nvml,
    parse_query,
)

# The tool, the loaded driver, or a card that nobody has installed anything for: each says something worth asking.
DETECT = (
    "command -v nvidia-smi >/dev/null 2>&1 && exit 0; [ -e /proc/driver/nvidia/version ] && exit 0; "
    "for d in /sys/bus/pci/devices/*; do read -r v <$d/vendor && read -r c <$d/class && "
    'case "$v$c" in 0x10de0x03*) exit 0;; esac; done 2>/dev/null; exit 1'
)
_HAS_NVML = (
    "command -v python3 >/dev/null 2>&1 && for f in /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib/aarch64-linux-gnu "
    "/usr/lib /usr/local/nvidia/lib64 /run/nvidia/driver/usr/lib/x86_64-linux-gnu; do "
    "[ -e $f/libnvidia-ml.so.1 ] && exit 0; done; exit 1"
)
# A field this driver does not know makes the whole query fail: ask which it knows and ask again for those.
QUERY = (
    f"f={','.join(FIELDS)}; o=$(nvidia-smi --query-gpu=$f --format=csv,nounits 2>&1); e=$?; "
    'case "$o" in *"not a valid field"*) h=$(nvidia-smi --help-query-gpu 2>/dev/null); g=; '
    'for x in $(printf %s "$f" | tr , \' \'); do case "$h" in *\'"\'"$x"\'"\'*) g=$g,$x;; esac; done; '
    'o=$(nvidia-smi --query-gpu="${g#,}" --format=csv,nounits 2>&1); e=$?;; esac; '
    f'case "$o" in *"not a valid field"*) o=$(nvidia-smi --query-gpu={",".join(LEAST)} --format=csv,nounits 2>&1); '
    "e=$?;; esac; "
    "printf '%s\\n' \"$o\"; exit $e"
)
# The XML names processes but not whose they are: one ps over its pids says that, where any stand in it.
DETAIL = (
    "o=$(nvidia-smi -q -x); e=$?; printf '%s\\n' \"$o\"; "
    "p=$(printf '%s\\n' \"$o\" | sed -n 's:.*<pid>\\([0-9]\\{1,9\\}\\)</pid>.*:\\1:p' | head -n 512 | tr '\\n' ,); "
    f'[ -z "$p" ] || {{ echo \'{USERS}\'; ps -o pid=,user:32= -p "${{p%,}}" 2>/dev/null; }}; exit $e'
)
DCGM_URL = "http://localhost:9400/metrics"

PROBES = (
    Probe(
        name="nvidia.nvml",
        command="",
        parse=parse_nvml,
        detect=_HAS_NVML,
        timeout_s=10.0,
        replaces=("nvidia.query",),
        columns=NVML_COLUMNS,
        python=(Path(__file__).parent / "nvml_reader.py").read_text(encoding="utf-8"),
        doc="NVML in the host's own python3: the same values without starting a process",
    ),
    Probe(
        name="nvidia.query",
        command=QUERY,
        parse=parse_query,
        detect=DETECT,
        timeout_s=15.0,
        doc="one line per card; fields the driver does not know are left out",
    ),
    Probe(
        name="nvidia.xml",
        command=DETAIL,
        parse=parse_detail,
        detect=DETECT,
        timeout_s=30.0,
        every_s=300.0,
        background=True,
        doc="everything slow: slices, processes, life-time memory errors, resets the driver asks for",
    ),
    Probe(
        name="nvidia.dcgm",
        command=fetch(DCGM_URL),
        parse=parse_dcgm,
        detect=serves(DCGM_URL, "DCGM_FI_", unless="nvidia-smi"),
        timeout_s=6.0,
        doc="dcgm-exporter, where it runs and no tool is on the host itself",
    ),
)
