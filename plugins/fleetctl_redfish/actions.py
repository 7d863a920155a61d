"""Power actions of a Redfish system: what the service allows is asked first, nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetctl.errors import ConflictError, NotFoundError, UsageError
from fleetctl_redfish.session import MissingError, RedfishSession
from fleetctl_redfish.total import PARTS
from fleetctl_redfish.values import text_of

# action -> reset types that do it, gentlest first
RESETS: dict[str, tuple[str, ...]] = {
    "on": ("On", "ForceOn", "PushPowerButton"),
    "off": ("GracefulShutdown",),
    "off_now": ("ForceOff",),
    "cycle": ("PowerCycle", "ForceRestart"),
}


async def first_system(session: RedfishSession) -> dict[str, Any]:
    """The one system behind the BMC. Raises NotFoundError; ConflictError when there are several (twin nodes)."""
    systems = await session.get("/redfish/v1/Systems")
    members = systems.get("Members")
    links = [m["@odata.id"] for m in members or () if isinstance(m, Mapping) and isinstance(m.get("@odata.id"), str)]
    if not links:
        raise NotFoundError("the BMC names no system", hint="it may be a PDU or a cooler")
    found = [await session.get(link) for link in links[:8]]
    # An HGX baseboard is a system of its own without a power switch of its own.
    switchable = [s for s in found if _reset_action(s) is not None and s.get("PowerState") is not None]
    if len(switchable) > 1:
        names = ", ".join(text_of(s.get("Id")) for s in switchable)
        raise ConflictError(f"the BMC has several systems ({names})", hint="act on them in the BMC's own interface")
    return switchable[0] if switchable else found[0]


def _reset_action(system: Mapping[str, Any]) -> Mapping[str, Any] | None:
    actions = system.get("Actions")
    action = actions.get("#ComputerSystem.Reset") if isinstance(actions, Mapping) else None
    return action if isinstance(action, Mapping) and isinstance(action.get("target"), str) else None


def reset_type(system: Mapping[str, Any], action: str) -> str:
    """The reset type for an action out of those the service allows. Raises UsageError, ConflictError."""
    wanted = RESETS.get(action)
    if wanted is None:
        raise UsageError(f"no action {action!r}", hint=", ".join([*RESETS, "identify", "identify_off", "cap"]))
    offered = _reset_action(system)
    if offered is None:
        raise ConflictError("the system has no power switch", hint="the BMC offers no ComputerSystem.Reset")
    allowed = offered.get("ResetType@Redfish.AllowableValues")
    if not isinstance(allowed, list):
        return wanted[0]
    for one in wanted:
        if one in allowed:
            return one
    raise ConflictError(f"the BMC does not offer {action}", hint=f"it offers {', '.join(map(str, allowed))}")


async def act(session: RedfishSession, action: str, value: float | None) -> str:
    """Carry out one action. Returns what was asked of the BMC."""
    system = await first_system(session)
    path = str(system.get("@odata.id", ""))
    if action in ("identify", "identify_off"):
        return await _identify(session, system, path, on=action == "identify")
    if action == "cap":
        return await _cap(session, system, value)
    kind = reset_type(system, action)
    offered = _reset_action(system)
    assert offered is not None
    await session.request("POST", offered["target"], {"ResetType": kind})
    return f"ResetType {kind} accepted"


async def _patch(session: RedfishSession, path: str, resource: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Change a resource as it was just read: several BMCs (Lenovo, Huawei, Fujitsu) want to be told which state of it."""
    etag = resource.get("@odata.etag")
    await session.request("PATCH", path, body, etag=etag if isinstance(etag, str) else "")


async def _identify(session: RedfishSession, system: Mapping[str, Any], path: str, *, on: bool) -> str:
    if "LocationIndicatorActive" in system:
        await _patch(session, path, system, {"LocationIndicatorActive": on})
        return f"LocationIndicatorActive {on}"
    await _patch(session, path, system, {"IndicatorLED": "Blinking" if on else "Off"})
    return f"IndicatorLED {'Blinking' if on else 'Off'}"


async def _cap(session: RedfishSession, system: Mapping[str, Any], watts: float | None) -> str:
    """The power limit of the first chassis of the system that has one and stands for the whole machine: the older
    resource where it is, else EnvironmentMetrics. A limit of a part (the GPUs of a tray) is none of the server."""
    limit = None if watts is None else int(watts)
    links = system.get("Links")
    chassis = links.get("Chassis") if isinstance(links, Mapping) else None
    named = [c.get("@odata.id") for c in chassis if isinstance(c, Mapping)] if isinstance(chassis, list) else []
    for link in [str(n).rstrip("/") for n in named if isinstance(n, str)][:16]:
        one = await _get(session, link)
        if text_of(one.get("ChassisType")) in PARTS:
            continue
        power = await _get(session, f"{link}/Power")
        controls = power.get("PowerControl")
        if isinstance(controls, list) and controls and isinstance(controls[0], Mapping) and "PowerLimit" in controls[0]:
            await _patch(session, f"{link}/Power", power, {"PowerControl": [{"PowerLimit": {"LimitInWatts": limit}}]})
            return "cap lifted" if watts is None else f"PowerLimit {watts:g} W accepted"
        metrics = await _get(session, f"{link}/EnvironmentMetrics")
        if isinstance(metrics.get("PowerLimitWatts"), Mapping):
            body = {"PowerLimitWatts": {"SetPoint": limit, "ControlMode": "Disabled" if watts is None else "Automatic"}}
            await _patch(session, f"{link}/EnvironmentMetrics", metrics, body)
            return "cap lifted" if watts is None else f"PowerLimitWatts {watts:g} W accepted"
    raise ConflictError("the BMC offers no power limit of the whole server", hint="cap it in the BMC's own interface")


async def _get(session: RedfishSession, path: str) -> Mapping[str, Any]:
    """The resource, or an empty one where there is none."""
    try:
        return await session.get(path)
    except MissingError:
        return {}
