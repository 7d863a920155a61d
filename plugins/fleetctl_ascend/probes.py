"""What is asked of a host with Ascend cards, and how often. Each npu-smi call costs about a second: few and seldom."""

from __future__ import annotations

from fleetctl.model.probe import Probe
from fleetctl.probes.fetch import fetch, serves
from fleetctl_ascend.parsers import parse_any, parse_exporter

_PATH = "PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/local/Ascend/driver/tools"
_LD = "LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/usr/local/Ascend/driver/lib64:/usr/local/Ascend/driver/lib64/common:" \
      "/usr/local/Ascend/driver/lib64/driver; export LD_LIBRARY_PATH"  # fmt: skip
DETECT = (
    f"{_PATH}; command -v npu-smi >/dev/null 2>&1 && exit 0; [ -e /dev/davinci_manager ] && exit 0; "
    "for d in /sys/bus/pci/devices/*; do read -r v <$d/vendor && read -r c <$d/class && "
    'case "$v$c" in 0x19e50x1200*) exit 0;; esac; done 2>/dev/null; exit 1'
)
# The ids of the cards, once per loop: `-l` prints them however they are numbered.
_EACH = f"{_PATH}; {_LD}; for i in $(npu-smi info -l 2>/dev/null | sed -n 's/^[[:space:]]*NPU ID *: *//p'); do "
SLOW = _EACH + (
    "for t in board common ecc health; do echo npu-smi info -t $t -i $i; npu-smi info -t $t -i $i 2>&1 | sed '/^[|+]/d'; echo; done; "
    "echo npu-smi info -t info-vnpu -i $i -c 0; npu-smi info -t info-vnpu -i $i -c 0 2>/dev/null | grep -i -A99 'vnpu id'; echo; done"
)
LINKS = _EACH + (
    "for w in link stat net_health; do echo hccn_tool -i $i -$w -g; timeout 5 hccn_tool -i $i -$w -g 2>&1; echo; done; done"
)

EXPORTER_URL = "http://localhost:8082/metrics"

PROBES = (
    Probe(
        name="ascend.info",
        command=f"{_PATH}; {_LD}; npu-smi info 2>&1",
        parse=parse_any,
        detect=DETECT,
        timeout_s=20.0,
        doc="two lines per chip: health, power, temperature, AICore, memory, processes",
    ),
    Probe(
        name="ascend.details",
        command=SLOW,
        parse=parse_any,
        detect=DETECT,
        timeout_s=90.0,
        every_s=600.0,
        background=True,
        doc="serials, firmware, clocks, memory errors, error codes; one call per card and kind",
    ),
    Probe(
        name="ascend.links",
        command=LINKS,
        parse=parse_any,
        detect=f"{_PATH}; command -v hccn_tool >/dev/null 2>&1",
        timeout_s=90.0,
        every_s=300.0,
        background=True,
        doc="the cards' network ports: up or down, errors, health",
    ),
    Probe(
        name="ascend.exporter",
        command=fetch(EXPORTER_URL),
        parse=parse_exporter,
        detect=serves(EXPORTER_URL, "npu_chip_info", unless="npu-smi"),
        timeout_s=6.0,
        doc="npu-exporter, where it runs and no tool is on the host itself",
    ),
)
