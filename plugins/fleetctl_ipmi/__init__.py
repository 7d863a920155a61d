"""Servers whose BMC speaks IPMI: over LAN (lanplus), and in-band on the host, with DCMI where it has it."""

from fleetctl.model.probe import Probe
from fleetctl.plugin import Parser, Plugin
from fleetctl_ipmi.inband import parse_power, parse_sensors

# Where the tool is and our user may open the device: the kernel gives it to root alone, unless a udev rule says more.
_DETECT = "command -v ipmitool >/dev/null 2>&1 && { [ -w /dev/ipmi0 ] || [ -w /dev/ipmi/0 ] || [ -w /dev/ipmidev/0 ]; }"


def _is_power(text: str) -> bool:
    return "Instantaneous power reading:" in text or "DCMI request failed" in text


def _is_elist(text: str) -> bool:
    return any(line.count("|") == 4 and "h |" in line for line in text[:4096].splitlines())


def _is_sensor(text: str) -> bool:
    return any(line.count("|") in (2, 9) for line in text[:4096].splitlines())


plugin = Plugin(
    name="ipmi",
    title="IPMI",
    doc="IPMI 2.0 over LAN through pyghmi in a held session, ipmitool where that fails, and ipmitool on the host itself: "
    "sensors, DCMI power and cap, chassis power and identify.",
    probes=(
        Probe(
            name="ipmi.power",
            command="ipmitool dcmi power reading 2>&1",
            parse=parse_power,
            detect=_DETECT,
            timeout_s=20.0,
            every_s=60.0,
            background=True,
            doc="what the host draws at the wall, from its own BMC",
        ),
        Probe(
            name="ipmi.sensors",
            command="ipmitool sdr elist full 2>&1",
            parse=parse_sensors,
            detect=_DETECT,
            timeout_s=120.0,  # a hundred sensors through the slow system interface
            every_s=300.0,
            background=True,
            doc="inlet temperature and every analogue sensor of the host's BMC",
        ),
    ),
    parsers=(
        Parser("ipmi.power", "ipmitool dcmi power reading", parse_power, _is_power),
        Parser("ipmi.sensors", "ipmitool sdr elist", parse_sensors, _is_elist),
        Parser("ipmi.table", "ipmitool sensor", parse_sensors, _is_sensor),
    ),
    sources={"ipmi": "fleetctl_ipmi.source:open_source"},
)
