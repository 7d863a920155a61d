"""The point types of the DSX Exchange BMS bus (its AsyncAPI schema 1.0): what each measures, and in which unit.

Rack points have the unit the schema fixes; of all others the metadata says it, and without metadata they stay unknown.
"""

from __future__ import annotations

from fleetctl.facility.quantity import canonical

# point type -> (quantity, unit that the schema fixes; None: only the metadata knows)
NUMBERS: dict[str, tuple[str, str | None]] = {
    "RackLiquidSupplyTemperature": ("temperature", "C"),
    "RackLiquidReturnTemperature": ("temperature", "C"),
    "RackLiquidFlow": ("flow", "LPM"),
    "RackLiquidDifferentialPressure": ("pressure", "kPa"),
    "RackLiquidDifferentialPressureSp": ("pressure_setpoint", "kPa"),
    "RackControlValvePosition": ("valve", "%"),
    "RackPower": ("power", "kW"),
    "ActivePower": ("power", None),
    "ApparentPower": ("apparent_power", None),
    "PowerFactor": ("power_factor", ""),
    "Frequency": ("frequency", None),
    "Voltage": ("voltage", None),
    "Current": ("current", None),
    "PhaseCurrent": ("current", None),
    "CurrentLimit": ("current_limit", None),
    "LiquidTemperature": ("temperature", None),
    "LiquidTemperatureSpRequest": ("temperature_setpoint", None),
    "LiquidDifferentialPressure": ("pressure", None),
    "LiquidPressure": ("pressure", None),
    "LiquidFlow": ("flow", None),
    "ValvePosition": ("valve", None),
    "PumpSpeed": ("pump_speed", None),
    "FanSpeed": ("fan_speed", None),
    "DamperPosition": ("damper", None),
    "AirTemperature": ("temperature", None),
    "AirRelativeHumidity": ("humidity", None),
    "AirFlow": ("air_flow", None),
    "AirPressure": ("pressure", None),
    "AirDifferentialPressure": ("pressure", None),
    "Sound": ("sound", None),
    "GenericPoint": ("generic", None),
}

# point type -> what of a PointState; these carry state texts instead of units
STATES: dict[str, str] = {
    "RackLeakDetect": "leak",
    "RackLeakDetectTray": "leak",
    "LeakDetect": "leak",
    "RackLeakSensorFault": "alarm",
    "RackLiquidIsolationStatus": "isolation",
    "RackElectricalIsolationStatus": "isolation",
    "RackLiquidIsolationRequest": "isolation_request",
    "RackElectricalIsolationRequest": "isolation_request",
    "Status": "state",
    "Available": "availability",
}

# Clocks of the bus itself, every 10 s: they measure nothing in the building.
HEARTBEATS = frozenset(
    ["HeartbeatTimestampBms", "HeartbeatEchoBms", "HeartbeatTimestampIntegration", "HeartbeatEchoIntegration"]
)

_BUS_UNITS = {
    "LPM": "L/min",
    "lpm": "L/min",
    "GPM": "gal/min",
    "%RH": "%",
    "°C": "C",
    "°F": "F",
    "Kw": "kW",
    "KW": "kW",
}
_DUTIES = {"pump_speed": "pump_duty", "fan_speed": "fan_duty"}


def amount(quantity: str, value: float, unit: str) -> tuple[str, float, str]:
    """(quantity, value, unit) in the house's units. A speed in per cent is a duty; litres and cubic metres of air stay."""
    unit = _BUS_UNITS.get(unit, unit)
    if unit == "%":
        quantity = _DUTIES.get(quantity, quantity)
    if quantity == "air_flow":  # m3/h of air is the house's own unit
        return quantity, value, unit
    value, unit = canonical(value, unit)
    if quantity == "generic" and unit == "kWh":
        quantity = "energy"
    return quantity, value, unit


def is_bad(word: str, value: float) -> bool:
    """Of a leak or an alarm: the state text decides where it is plain, else everything but 0 is bad."""
    low = word.lower().replace(" ", "")
    if low.startswith(("no", "ok", "dry", "clear")):  # NoLeak, NotLeaking, Normal, NoFault
        return False
    if any(w in low for w in ("leak", "wet", "fault", "alarm", "water")):
        return True
    return value != 0
