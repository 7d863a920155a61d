"""What the whole device draws, from a gathered tree. Levels are never added; parallel inputs of one level are.

The order: PDU and shelf metrics; per chassis EnvironmentMetrics, PowerControl/0, a named sensor, the sum of all
hot-swap controllers or of all supply inputs. One of them that does not tell makes the sum unknown. A zero gives way to
any later rung that is above zero, and to nothing where the machine says that it is on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fleetctl.facility.quantity import canonical, number, plausible
from fleetctl_redfish.values import is_gone, quantity_and_unit, state_of, text_of, type_of

Json = Mapping[str, Any]
Total = tuple[float, str]

# A chassis that can stand for the whole machine, best first; a type we do not know is like Other.
_RANKS = {
    "RackMount": 0,
    "StandAlone": 0,
    "Tower": 0,
    "Shelf": 0,
    "Drawer": 0,
    "Pedestal": 0,
    "HeatExchanger": 0,
    "StorageEnclosure": 0,
    "ImmersionTank": 0,
    "PowerStrip": 0,
    "Blade": 1,
    "Sled": 1,
    "Node": 1,
    "Enclosure": 3,
    "Rack": 3,
    "RackGroup": 3,
    "Row": 3,
    "Pod": 3,
}
_OTHER = 2
PARTS = frozenset(["Card", "Cartridge", "Component", "Module", "Zone", "IPBasedDrive"])  # never the whole machine
# Ids of sensors that vendors use for the draw of the whole machine, best first.
NAMED_SENSORS = tuple(
    re.compile(p, re.IGNORECASE)
    for p in (
        r"^PWR_SYSTEM$",  # NVIDIA DGX, AMI
        r"Total_?HSC_?Power",  # NVIDIA MGX trays: the hot-swap controllers of the whole tray
        r"^(SystemBoard|System_?Board_?)Pwr_?Consumption$",  # Dell
        r"^(power_?)?(Total|System|Sys|Chassis|Node|Platform)_?(Input_?)?(Power|Pwr|PWR)(_?(Consumption|In|Input|Total))?(_0)?$",
        r"^ChassisVoltageRegulator0InputPower$",  # HPE Cray EX: the node's input, 48 V
        r"^(Pwr|Power)_?Consumption(_?Monitor)?$",
        r"^(MB_?|Board_?)?HSC_?(Input|In)_?(Power|Pwr)(_?W)?$",  # OpenBMC on one-socket boards: the one hot-swap controller
        r"^(PSU_?Total|Total_?PSU)_?(Input_?)?(Power|Pwr)(_?(In|Input))?$",
        r"^PDU_?Power$",
    )
)
_RECTIFIER = re.compile(r"^Rectifier\d+InputPower$")  # HPE Cray EX chassis
_HOT_SWAP = re.compile(r"(?:^|_)HSC_?\d+_(?:Power|Pwr)(?:_\d+)?$", re.IGNORECASE)  # NVIDIA: the inputs of a baseboard
_WHOLE = re.compile(r"server|system|chassis|node|platform", re.IGNORECASE)
_METRIC_PARENTS = ("RackPDUs", "PowerShelves", "FloorPDUs", "Switchgear", "TransferSwitches")


def total_power(tree: Mapping[str, Json]) -> Total | None:
    """(watts, resource#/pointer) or None. `tree`: path without a trailing slash -> resource."""
    equipment = _equipment(tree)
    if equipment is not None:
        return equipment
    zero: Total | None = None
    levels = _levels(tree)
    for level in levels:
        totals = [t for t in (_chassis_total(tree, path) for path in level) if t is not None]
        if not totals:
            continue
        # several machines behind one BMC (twin nodes): all of them together
        result = totals[0] if len(totals) == 1 else (sum(t[0] for t in totals), " + ".join(t[1] for t in totals))
        if result[0] > 0:
            return result
        zero = zero or result
    if zero is not None and _is_on(tree):
        return None
    return zero or _only_control(tree) or (None if levels else _baseboard(tree))


def _is_on(tree: Mapping[str, Json]) -> bool:
    """The machine says that it runs: what draws nothing then is not measured (Supermicro X10 without PMBus supplies)."""
    return any(type_of(r) in ("Chassis", "ComputerSystem") and r.get("PowerState") == "On" for r in tree.values())


def _only_control(tree: Mapping[str, Json]) -> Total | None:
    """The one PowerControl/0 of the service that names the server, wherever it hangs (Intel S2600: on the baseboard)."""
    found = []
    for path, resource in tree.items():
        if type_of(resource) == "Power" and (total := _power_control(tree, path.rpartition("/")[0])) is not None:
            found.append((total, resource["PowerControl"][0]))
    if len(found) == 1 and _WHOLE.search(text_of(found[0][1].get("Name"))):
        return found[0][0]
    return None


def _baseboard(tree: Mapping[str, Json]) -> Total | None:
    """A service of nothing but parts is a baseboard's own (NVIDIA HGX): the inputs of the one zone around them."""
    zones = [p for p, r in tree.items() if p.count("/") == 4 and text_of(r.get("ChassisType")) == "Zone"]
    return _hot_swap(tree, zones[0]) if len(zones) == 1 else None


def matters(path: str, resource: Json) -> bool:
    """Whether `total_power` ever looks at that resource: the rest of a tree need not be kept for it."""
    parts = path.split("/")
    return (
        (len(parts) == 5 and parts[3] == "Chassis")
        or parts[-1] in ("EnvironmentMetrics", "Power", "Metrics")
        or type_of(resource) == "Power"
        or "/PowerSupplies/" in path
        or ("/Sensors/" in path and quantity_and_unit(resource)[0] == "power")
    )


def _equipment(tree: Mapping[str, Json]) -> Total | None:
    for parent in _METRIC_PARENTS:
        found: list[Total] = []
        for path, resource in tree.items():
            parts = path.split("/")
            if len(parts) == 7 and parts[4] == parent and parts[6] == "Metrics" and parts[3] == "PowerEquipment":
                for key in ("PowerWatts", "InputPowerWatts"):
                    value = _excerpt(resource.get(key))
                    if value is not None:
                        found.append((value, f"{path}#/{key}/Reading"))
                        break
        found = found or _mains(tree, parent)
        if found:
            return sum(v for v, _ in found), " + ".join(s for _, s in found)
    return None


def _mains(tree: Mapping[str, Json], parent: str) -> list[Total]:
    """What comes in by the mains of equipment without metrics of its own; nothing as soon as one main does not tell."""
    found: list[Total] = []
    for path, circuit in tree.items():
        parts = path.split("/")
        if len(parts) == 8 and parts[3:5] == ["PowerEquipment", parent] and parts[6] == "Mains":
            value = None if is_gone(circuit) else _excerpt(circuit.get("PowerWatts"))
            if value is None and not is_gone(circuit):
                return []
            if value is not None:
                found.append((value, f"{path}#/PowerWatts/Reading"))
    return found


def _levels(tree: Mapping[str, Json]) -> list[list[str]]:
    """Chassis that can stand for a machine, outermost first and best type first; one level is tried at a time."""
    levels: dict[tuple[int, int], list[str]] = {}
    for path, chassis in tree.items():
        if path.count("/") != 4 or not path.startswith("/redfish/v1/Chassis/"):
            continue
        kind = text_of(chassis.get("ChassisType"))
        if kind not in PARTS:
            levels.setdefault((_depth(tree, path), _RANKS.get(kind, _OTHER)), []).append(path)
    return [levels[key] for key in sorted(levels)]


def _depth(tree: Mapping[str, Json], path: str) -> int:
    """How many chassis that were read contain this one; a circle counts as its length."""
    seen: set[str] = set()
    while path not in seen:
        seen.add(path)
        links = (tree.get(path) or {}).get("Links")
        inside = links.get("ContainedBy") if isinstance(links, Mapping) else None
        owner = inside.get("@odata.id") if isinstance(inside, Mapping) else None
        if not isinstance(owner, str) or owner.rstrip("/") not in tree:
            break
        path = owner.rstrip("/")
    return len(seen) - 1


def _chassis_total(tree: Mapping[str, Json], path: str) -> Total | None:
    zero: Total | None = None
    for rung in (_environment, _power_control, _named_sensor, _hot_swap, _supplies):
        found = rung(tree, path)
        if found is not None and found[0] > 0:
            return found
        zero = zero or found
    return zero


def _watts(value: float | None) -> float | None:
    """What a machine can draw; anything else is no total."""
    return value if value is not None and value >= 0 and plausible("power", value, "W") else None


def _excerpt(value: Any) -> float | None:
    if not isinstance(value, Mapping):
        return None
    watts = number(value.get("Reading"))
    return _watts(watts)


def _environment(tree: Mapping[str, Json], path: str) -> Total | None:
    resource = tree.get(f"{path}/EnvironmentMetrics")
    watts = _excerpt(resource.get("PowerWatts")) if resource else None
    return None if watts is None else (watts, f"{path}/EnvironmentMetrics#/PowerWatts/Reading")


def _power_control(tree: Mapping[str, Json], path: str) -> Total | None:
    controls = (tree.get(f"{path}/Power") or {}).get("PowerControl")
    if isinstance(controls, list) and controls and isinstance(controls[0], Mapping):
        if state_of(controls[0]) == "Absent":
            return None
        watts = _watts(number(controls[0].get("PowerConsumedWatts")))
        if watts is not None:
            return watts, f"{path}/Power#/PowerControl/0/PowerConsumedWatts"
    return None


def _power_sensors(tree: Mapping[str, Json], path: str) -> Iterator[tuple[str, str, float | None]]:
    """(path, id, watts); where the id is only a number (Lenovo, HPE) the name stands for it."""
    prefix = f"{path}/Sensors/"
    for name, sensor in tree.items():
        if name.startswith(prefix) and quantity_and_unit(sensor)[0] == "power":
            told = None if is_gone(sensor) else number(sensor.get("Reading"))
            watts = None if told is None else canonical(told, quantity_and_unit(sensor)[1])[0]
            sensor_id = name[len(prefix) :]
            if sensor_id[:1].isdigit():
                sensor_id = text_of(sensor.get("Name")).replace(" ", "_") or sensor_id
            yield name, sensor_id, _watts(watts)


def _named_sensor(tree: Mapping[str, Json], path: str) -> Total | None:
    sensors = list(_power_sensors(tree, path))
    for pattern in NAMED_SENSORS:
        for name, sensor_id, watts in sensors:
            if watts is not None and pattern.search(sensor_id):
                return watts, f"{name}#/Reading"
    rectifiers = [(name, watts) for name, sensor_id, watts in sensors if _RECTIFIER.search(sensor_id)]
    if rectifiers and all(w is not None for _, w in rectifiers):
        return sum(w for _, w in rectifiers if w is not None), f"sum of {len(rectifiers)} rectifiers in {path}/Sensors"
    return None


def _hot_swap(tree: Mapping[str, Json], path: str) -> Total | None:
    """The sum of a baseboard's parallel inputs; None as soon as one does not tell."""
    inputs = [(name, watts) for name, sensor_id, watts in _power_sensors(tree, path) if _HOT_SWAP.search(sensor_id)]
    if inputs and all(w is not None for _, w in inputs):
        return sum(w for _, w in inputs if w is not None), " + ".join(f"{name}#/Reading" for name, _ in inputs)
    return None


def _supplies(tree: Mapping[str, Json], path: str) -> Total | None:
    """The sum of what all supplies take in; None as soon as one that is there does not tell."""
    inputs: list[float | None] = []
    prefix = f"{path}/PowerSubsystem/PowerSupplies/"
    for name, resource in tree.items():
        is_supply = name.startswith(prefix) and "/" not in name[len(prefix) :] and type_of(resource) == "PowerSupply"
        if is_supply and not is_gone(resource):
            inputs.append(_excerpt((tree.get(f"{name}/Metrics") or {}).get("InputPowerWatts")))
    if inputs and all(v is not None for v in inputs):
        return sum(v for v in inputs if v is not None), f"sum of {len(inputs)} inputs in {prefix[:-1]}"
    legacy: list[float | None] = []
    supplies = (tree.get(f"{path}/Power") or {}).get("PowerSupplies")
    for supply in supplies if isinstance(supplies, list) else ():
        if isinstance(supply, Mapping) and not is_gone(supply):
            watts = number(supply.get("PowerInputWatts"))
            legacy.append(_watts(watts))
    if legacy and all(v is not None for v in legacy):
        return sum(v for v in legacy if v is not None), f"sum of {len(legacy)} inputs in {path}/Power#/PowerSupplies"
    return None
