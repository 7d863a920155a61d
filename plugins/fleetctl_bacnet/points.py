"""What a BACnet object's properties mean. Pure: plain Python values in, readings out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleetctl.facility.quantity import canonical, number, plausible
from fleetctl.model.facility import Measurement, PointState, SourceFinding, SourceTrouble, Unknown
from fleetctl.probes.text import clean

NO_FAULT = "no-fault-detected"
ANALOG = (
    "analog-input", "analog-value", "analog-output", "large-analog-value", "integer-value", "positive-integer-value",
    "accumulator",
)  # fmt: skip
BINARY = ("binary-input", "binary-value")

# engineering unit of the standard -> (quantity, unit as fleetctl writes it)
UNITS: dict[str, tuple[str, str]] = {
    "watts": ("power", "W"),
    "kilowatts": ("power", "kW"),
    "megawatts": ("power", "MW"),
    "volt-amperes": ("apparent_power", "VA"),
    "kilovolt-amperes": ("apparent_power", "kVA"),
    "kilovolt-amperes-reactive": ("reactive_power", "kvar"),
    "power-factor": ("power_factor", ""),
    "watt-hours": ("energy", "Wh"),
    "kilowatt-hours": ("energy", "kWh"),
    "megawatt-hours": ("energy", "MWh"),
    "milliamperes": ("current", "mA"),
    "amperes": ("current", "A"),
    "millivolts": ("voltage", "mV"),
    "volts": ("voltage", "V"),
    "kilovolts": ("voltage", "kV"),
    "hertz": ("frequency", "Hz"),
    "degrees-celsius": ("temperature", "C"),
    "degrees-fahrenheit": ("temperature", "F"),
    "degrees-kelvin": ("temperature", "K"),
    "percent-relative-humidity": ("humidity", "%"),
    "revolutions-per-minute": ("fan_speed", "rpm"),
    "liters-per-minute": ("flow", "L/min"),
    "liters-per-second": ("flow", "L/s"),
    "cubic-meters-per-hour": ("flow", "m3/h"),
    "us-gallons-per-minute": ("flow", "gal/min"),
    "pascals": ("pressure", "Pa"),
    "kilopascals": ("pressure", "kPa"),
    "bars": ("pressure", "bar"),
    "pounds-force-per-square-inch": ("pressure", "psi"),
}
_NAMED = (("pump", "pump_speed", "rpm"), ("valve", "valve", "%"), ("humidity", "humidity", "%"), ("load", "load", "%"))


@dataclass(slots=True)
class BacnetObject:
    """One object. key: `analog-input,1`; value: number, word or None; flags: in alarm, fault, overridden, out of service."""

    key: str
    name: str = ""
    description: str = ""
    units: str = ""
    value: float | str | None = None
    flags: tuple[bool, bool, bool, bool] = (False, False, False, False)
    out_of_service: bool = False
    reliability: str = NO_FAULT
    scale: float = 0.0  # of an accumulator: what one count is; 0: not told

    @property
    def kind(self) -> str:
        return self.key.split(",", 1)[0]

    @property
    def trouble(self) -> str:
        """Why its value is not to be believed; empty: it is. An alarm alone does not make a value wrong."""
        if self.out_of_service or self.flags[3]:
            return "out of service"
        if self.flags[1] or self.reliability != NO_FAULT:
            return "fault" if self.reliability == NO_FAULT else self.reliability
        return ""


def meaning(one: BacnetObject) -> tuple[str, str]:
    """(quantity, unit) of an analog object."""
    quantity, unit = UNITS.get(one.units, ("generic", "%" if one.units == "percent" else one.units))
    if unit in ("%", "rpm"):
        for word, named, its_unit in _NAMED:
            if unit == its_unit and word in f"{one.name} {one.description}".lower():
                return named, unit
    return quantity, unit


def tell(
    objects: Iterable[BacnetObject], at: float
) -> tuple[list[Measurement], list[PointState], list[Unknown], list[SourceFinding]]:
    """Objects as readings, states, unknowns and findings. at: epoch seconds of the reading."""
    readings: list[Measurement] = []
    states: list[PointState] = []
    unknown: list[Unknown] = []
    findings: list[SourceFinding] = []
    for one in objects:
        if not one.key.isprintable() or not one.units.isprintable():
            one = replace(one, key=clean(one.key), units=clean(one.units))
        where = clean(one.name or one.description or one.key)[:200]
        raw = "null" if one.value is None else clean(str(one.value)[:80])
        binary = one.kind in BINARY
        what = "leak" if "leak" in f"{one.name} {one.description}".lower() else "state"
        quantity, unit = (what, "") if binary else meaning(one)
        trouble = one.trouble
        if binary and isinstance(one.value, str) and not trouble:
            bad = one.value == "active" if what == "leak" else None
            states.append(PointState(what, where, "leak" if bad else raw, one.key, raw, at, bad))
            continue
        value = None if trouble or binary else number(one.value, absent=())
        if value is None:
            unknown.append(Unknown(quantity, where, one.key, f"{raw} ({trouble})" if trouble else raw))
            if what == "leak" and binary:  # a detector that cannot tell must not go on saying "dry"
                states.append(PointState(what, where, "unknown", one.key, raw, at))
        elif plausible(quantity, value, unit):
            value, unit = canonical(value, unit)
            readings.append(Measurement(quantity, where, value, unit, one.key, raw, at))
        else:
            findings.append(SourceFinding(SourceTrouble.IMPLAUSIBLE, f"{where}: {value:g} {unit} cannot be", one.key))
    return readings, states, unknown, findings


def total_power(readings: Iterable[Measurement]) -> Measurement | None:
    """The only power, else the only one that calls itself total; never a sum."""
    found = [r for r in readings if r.quantity == "power" and r.unit == "W"]
    if len(found) != 1:
        found = [r for r in found if "total" in r.where.lower()]
    return found[0] if len(found) == 1 else None
