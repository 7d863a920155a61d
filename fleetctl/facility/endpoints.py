"""From fleet.toml to the endpoints that are asked: who, where, with whose credentials, how often."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fleetctl.config.schema import BmcGroup, Config, FacilityDevice
from fleetctl.errors import ConfigError, NotFoundError
from fleetctl.facility.credentials import load_credentials, run_credentials
from fleetctl.facility.endpoint import Credentials, Endpoint, own_maps, parse_url
from fleetctl.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Asked:
    """One endpoint of the fleet. name: the device's, or `bmc:HOST`; site: where it stands."""

    name: str
    kind: str
    url: str
    site: str
    every_s: float
    full_every_s: float
    timeout_s: float
    host: str | None = None
    map: str = ""
    credentials: str = ""
    credentials_command: str = ""
    tls_ca: str = ""
    tls_pin: str = ""
    tls_pins: str = ""
    maps: str = ""

    def endpoint(self) -> Endpoint:
        """The address with its credentials read. Raises UsageError and AuthError; may start the command."""
        plain = parse_url(self.url)
        found: Credentials | None = None
        if self.credentials_command:
            found = run_credentials(self.credentials_command, plain.host)
        elif self.credentials:
            found = load_credentials(Path(self.credentials).expanduser(), plain.host)
        pin = self.tls_pin
        if not pin and self.tls_pins:
            pin = _pins(self.tls_pins).get(plain.host, "")
            if not pin and not self.tls_ca:
                raise ConfigError(
                    f"{self.tls_pins} has no pin for {plain.host}",
                    hint=f"add a line `{plain.host} SHA-256` after looking at the device itself",
                )
        return parse_url(
            self.url,
            credentials=found,
            tls_pin=pin,
            tls_ca=Path(self.tls_ca).expanduser() if self.tls_ca else None,
            timeout_s=self.timeout_s,
            map_path=self.map,
            maps=own_maps(self.maps),
        )


@cache
def _pins(path: str) -> dict[str, str]:
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="one `address SHA-256` per line") from None
    words = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {w[0]: w[1] for w in words if len(w) >= 2}


def endpoints(config: Config, inventory: Inventory) -> dict[str, Asked]:
    """All endpoints of the fleet by name. Raises ConfigError for doubles and names that exist nowhere."""
    out: dict[str, Asked] = {}
    problems: list[str] = []
    for group in config.facility.bmcs:
        for host in inventory.select(group.nodes):
            out[f"bmc:{host.name}"] = _bmc(group, host.name, host.site)
    for device in config.facility.devices:
        if device.name in out:
            problems.append(f"facility device {device.name!r} is declared twice")
        out[device.name] = _device(device, config.facility.maps)
    problems += _unknown_names(config, inventory, out)
    if problems:
        raise ConfigError("\n".join(problems[:20]), hint="`fleetctl config check` reads fleet.toml again")
    return out


def _bmc(group: BmcGroup, name: str, site: str) -> Asked:
    digits = re.findall(r"\d+", name)
    try:
        url = group.url.format(name=name, number=int(digits[-1]) if digits else 0)
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"facility.bmcs.url: {group.url!r} is no pattern ({error})", hint="{name} and {number} are known"
        ) from None
    return Asked(
        name=f"bmc:{name}",
        kind="bmc",
        url=url,
        site=site,
        every_s=group.every_s,
        full_every_s=group.full_every_s,
        timeout_s=group.timeout_s,
        host=name,
        credentials=group.credentials,
        credentials_command=group.credentials_command,
        tls_ca=group.tls_ca,
        tls_pins=group.tls_pins,
    )


def _device(device: FacilityDevice, maps: str) -> Asked:
    return Asked(
        name=device.name,
        kind=device.kind,
        url=device.url,
        site=device.site,
        every_s=device.every_s,
        full_every_s=device.full_every_s,
        timeout_s=device.timeout_s,
        map=device.map,
        credentials=device.credentials,
        credentials_command=device.credentials_command,
        tls_ca=device.tls_ca,
        tls_pin=device.tls_pin,
        maps=maps,
    )


def _unknown_names(config: Config, inventory: Inventory, known: dict[str, Asked]) -> list[str]:
    out: list[str] = []
    feeds = {f.name for f in config.facility.feeds}
    for device in config.facility.devices:
        out += [f"facility device {device.name!r}: no rack {r!r}" for r in device.racks if r not in inventory.racks]
        if device.feed and device.feed not in feeds:
            out.append(f"facility device {device.name!r}: no feed {device.feed!r}")
    for feed in config.facility.feeds:
        out += [f"feed {feed.name!r}: no rack {r!r}" for r in feed.racks if r not in inventory.racks]
    for meter in config.facility.meters:
        if meter.device not in known:
            out.append(f"meter {meter.name!r}: no facility device {meter.device!r}")
    for zone in config.facility.zones:
        out += [f"zone {zone.name!r}: no facility device {d!r}" for d in zone.devices if d not in known]
    return out


def one_endpoint(name: str, config: Config, inventory: Inventory) -> Asked:
    """One by its name, or the BMC of a host. Raises NotFoundError."""
    known = endpoints(config, inventory)
    found = known.get(name) or known.get(f"bmc:{name}")
    if found is None:
        raise NotFoundError(f"no endpoint {name!r} in fleet.toml", hint="`fleetctl facility list` names them all")
    return found
