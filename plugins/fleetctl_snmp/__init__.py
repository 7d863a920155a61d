"""PDUs, transfer switches, UPSes, coolers, environment probes and BMCs that speak SNMP."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="snmp",
    title="SNMP",
    doc="SNMP v1, v2c and v3 by device maps (maps/*.toml): columns of known tables, never a walk of an enterprise tree.",
    sources={"snmp": "fleetctl_snmp.source:open_source", "snmptrap": "fleetctl_snmp.traps:open_decoder"},
)
