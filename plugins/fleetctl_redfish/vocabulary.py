"""What Redfish calls quantities, units and places, and what we call them. Tables only.

Source: DMTF DSP8010 schemas (Sensor and the resources that hold sensor excerpts), DSP0268.
"""

from __future__ import annotations

import re

# Sensor.ReadingType -> quantity, unit when the sensor names none
READING_TYPES: dict[str, tuple[str, str]] = {
    "Temperature": ("temperature", "C"),
    "Humidity": ("humidity", "%"),
    "AbsoluteHumidity": ("absolute_humidity", "g/m3"),
    "Power": ("power", "W"),
    "EnergykWh": ("energy", "kWh"),
    "EnergyWh": ("energy", "Wh"),
    "EnergyJoules": ("energy", "J"),
    "ChargeAh": ("charge_amount", "Ah"),
    "Voltage": ("voltage", "V"),
    "Current": ("current", "A"),
    "Frequency": ("frequency", "Hz"),
    "Pressure": ("pressure", "Pa"),
    "PressurekPa": ("pressure", "kPa"),
    "PressurePa": ("pressure", "Pa"),
    "Barometric": ("pressure", "mmHg"),
    "LiquidLevel": ("liquid_level", "cm"),
    "LiquidFlow": ("flow", "L/s"),
    "LiquidFlowLPM": ("flow", "L/min"),
    "AirFlow": ("air_flow", "cft/min"),
    "AirFlowCMM": ("air_flow", "m3/min"),
    "Rotational": ("fan_speed", "rpm"),
    "Percent": ("percent", "%"),
    "Heat": ("cooling_power", "kW"),
    "Altitude": ("altitude", "m"),
    "Valve": ("valve", "%"),
    "ThermalResistance": ("thermal_resistance", "C/W"),
    "LinearPosition": ("position", "m"),
    "LinearVelocity": ("velocity", "m/s"),
    "LinearAcceleration": ("acceleration", "m/s2"),
    "RotationalPosition": ("position", "rad"),
    "RotationalVelocity": ("velocity", "rad/s"),
}

# UCUM and what BMCs print instead -> our unit
UNITS: dict[str, str] = {
    "Cel": "C",
    "C": "C",
    "DegC": "C",
    "Celsius": "C",
    "[degF]": "F",
    "W": "W",
    "Watts": "W",
    "kW": "kW",
    "V": "V",
    "Volts": "V",
    "mV": "mV",
    "A": "A",
    "Amps": "A",
    "mA": "mA",
    "RPM": "rpm",
    "rpm": "rpm",
    "{rev}/min": "rpm",
    "%": "%",
    "Percent": "%",
    "Hz": "Hz",
    "MHz": "MHz",
    "kW.h": "kWh",
    "kWh": "kWh",
    "W.h": "Wh",
    "Wh": "Wh",
    "J": "J",
    "L/min": "L/min",
    "L/s": "L/s",
    "kPa": "kPa",
    "Pa": "Pa",
    "bar": "bar",
    "[psi]": "psi",
    "V.A": "VA",
    "VA": "VA",
    "VAR": "var",
    "s": "s",
    "[cft_i]/min": "cft/min",
    "CFM": "cft/min",
}
UNIT_QUANTITY: dict[str, str] = {
    "C": "temperature",
    "F": "temperature",
    "W": "power",
    "kW": "power",
    "V": "voltage",
    "mV": "voltage",
    "A": "current",
    "mA": "current",
    "rpm": "fan_speed",
    "Hz": "frequency",
    "kWh": "energy",
    "Wh": "energy",
    "J": "energy",
    "L/min": "flow",
    "L/s": "flow",
    "kPa": "pressure",
    "Pa": "pressure",
    "VA": "apparent_power",
    "cft/min": "air_flow",
}

# Name of a property that holds a sensor excerpt -> quantity, unit. First match wins.
EXCERPTS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), quantity, unit)
    for pattern, quantity, unit in (
        (r"^DeltaTemperatureCelsius$", "temperature_difference", "C"),
        (r"Celsius$", "temperature", "C"),
        (r"^AbsoluteHumidity$", "absolute_humidity", "g/m3"),
        (r"HumidityPercent$", "humidity", "%"),
        (r"^(FanSpeeds?|Speed|PumpSpeed)Percent$", "fan_duty", "%"),
        (r"(LoadPercent)$", "load", "%"),
        (r"^UnbalancedCurrentPercent$|^UnbalancedVoltagePercent$", "unbalance", "%"),
        (r"^(FluidLevel|Level)Percent$", "level", "%"),
        (r"^ChargePercent$", "charge", "%"),
        (r"^StateOfHealthPercent$", "battery_health", "%"),
        (r"Watts$", "power", "W"),
        (r"kWh$", "energy", "kWh"),
        (r"^EnergyJoules$", "energy", "J"),
        (r"Amps$", "current", "A"),
        (r"AmpHours$", "charge_amount", "Ah"),
        (r"Voltages?$", "voltage", "V"),
        (r"FrequencyHz$", "frequency", "Hz"),
        (r"^FlowLitersPerMinute$", "flow", "L/min"),
        (r"^HeatRemovedkW$", "cooling_power", "kW"),
        (r"PressurekPa$", "pressure", "kPa"),
        (r"^RuntimeSeconds$", "runtime", "s"),
    )
)
# What a power property carries beside its reading.
EXCERPT_EXTRAS = {"ApparentVA": ("apparent_power", "VA"), "ReactiveVAR": ("reactive_power", "var")}

# Parts of a path that say what kind of thing follows, not which one.
COLLECTIONS = frozenset(
    [
        "Chassis",
        "Systems",
        "Managers",
        "Sensors",
        "Power",
        "Thermal",
        "PowerSubsystem",
        "ThermalSubsystem",
        "EnvironmentMetrics",
        "ThermalMetrics",
        "Metrics",
        "PowerSupplies",
        "Fans",
        "LeakDetection",
        "LeakDetectors",
        "PowerEquipment",
        "ThermalEquipment",
        "Facilities",
        "Batteries",
        "CoolantConnectors",
        "Heaters",
    ]
)

# Property that holds an excerpt -> word for `where`, when a resource has several of its kind.
EXCERPT_WORDS = {
    "InputPowerWatts": "input",
    "OutputPowerWatts": "output",
    "InputVoltage": "input",
    "OutputVoltage": "output",
    "InputCurrentAmps": "input",
    "OutputCurrentAmps": "output",
    "RailVoltage": "rail",
    "RailCurrentAmps": "rail",
    "RailPowerWatts": "rail",
    "SupplyTemperatureCelsius": "supply",
    "ReturnTemperatureCelsius": "return",
    "DeltaTemperatureCelsius": "delta",
    "SupplyPressurekPa": "supply",
    "ReturnPressurekPa": "return",
    "DeltaPressurekPa": "delta",
    "DewPointCelsius": "dew point",
    "PumpSpeedPercent": "pump",
}
