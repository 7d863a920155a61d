"""How a Redfish service is walked: which links matter for power and cooling, in few questions, never in circles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UnreachableError
from fleetctl.model.facility import SourceFinding, SourceTrouble
from fleetctl_redfish.session import BusyError, MissingError, RedfishSession
from fleetctl_redfish.values import text_of, type_of

Json = dict[str, Any]
MAX_RESOURCES = 6_000  # a DGX H100 has 1,050; a walk that finds more is going in circles
MAX_PAGES = 100
MAX_PATH = 1_000
MAX_FAILURES = 8  # answers in a row that did not come: the BMC is gone, ask no more

# resource type -> links to follow. "" is anything not named.
LINKS: dict[str, tuple[str, ...]] = {
    "ServiceRoot": ("Chassis", "PowerEquipment", "ThermalEquipment", "Systems"),
    "Chassis": (
        "Power", "Thermal", "PowerSubsystem", "ThermalSubsystem", "EnvironmentMetrics", "Sensors", "LeakDetectors",
    ),
    "PowerSubsystem": ("PowerSupplies", "Batteries"),
    "PowerSupply": ("Metrics",),
    "Battery": ("Metrics",),
    "Heater": ("Metrics",),
    "ThermalSubsystem": ("ThermalMetrics", "Fans", "LeakDetection", "Pumps", "CoolantConnectors", "Heaters"),
    "LeakDetection": ("LeakDetectors",),
    "PowerEquipment": (
        "RackPDUs", "FloorPDUs", "PowerShelves", "Switchgear", "TransferSwitches", "ElectricalBuses",
    ),
    "PowerDistribution": (
        "Metrics", "Mains", "Branches", "Outlets", "OutletGroups", "Feeders", "Subfeeds", "PowerSupplies", "Sensors",
    ),
    "ThermalEquipment": (
        "CDUs", "HeatExchangers", "ImmersionUnits", "CoolingLoops", "LeakDetection", "RPUs",
    ),
    "CoolingUnit": (
        "PrimaryCoolantConnectors", "SecondaryCoolantConnectors", "Pumps", "Fans", "EnvironmentMetrics",
        "LeakDetection", "Reservoirs", "Sensors",
    ),
    "CoolingLoop": ("PrimaryCoolantConnectors", "SecondaryCoolantConnectors"),
}  # fmt: skip


class Walk:
    """One walk over a service. `tree`: path -> resource; `findings`: what could not be read."""

    def __init__(self, session: RedfishSession) -> None:
        self.session = session
        self.tree: dict[str, Json] = {}
        self.findings: list[SourceFinding] = []
        self.expand = ""
        self.pages: dict[str, list[str]] = {}  # collection -> the questions that read all of it
        self._asked: set[str] = set()
        self._todo: asyncio.Queue[str] = asyncio.Queue()
        self._failures = 0

    async def run(self) -> None:
        """Fill `tree`. Raises only when the service as a whole cannot be read."""
        root = await self.session.get("/redfish/v1/")
        self.tree["/redfish/v1"] = root
        self._asked.add("/redfish/v1")
        self.expand = _expand_query(root)
        # The first protected resource decides about login and reach, before anything is done side by side.
        first = next((p for p in _links(root, "ServiceRoot")), None)
        if first is None:
            raise ParseError(f"{self.session.base} names no Chassis and no equipment", hint="is it a Redfish service?")
        for path in _links(root, "ServiceRoot"):
            self._want(path)
        async with self.session.two_sockets():
            await self._side_by_side()
        if not any(p.count("/") > 3 for p in self.tree) and self.findings:
            garbled = all(f.kind is SourceTrouble.UNREADABLE for f in self.findings)
            error = ParseError if garbled else UnreachableError
            raise error(f"{self.session.base}: {self.findings[0].text}", hint="it is asked again later")

    async def _side_by_side(self) -> None:
        workers = [asyncio.create_task(self._work()) for _ in range(2)]
        try:
            done = asyncio.create_task(self._todo.join())
            await asyncio.wait([done, *workers], return_when=asyncio.FIRST_COMPLETED)
            for worker in workers:
                if worker.done():
                    done.cancel()
                    worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    @property
    def failing(self) -> bool:
        """The last question got no answer."""
        return self._failures > 0

    def _want(self, path: str) -> None:
        key = path.split("#")[0].rstrip("/")
        if is_path(key) and key not in self._asked and len(self._asked) < MAX_RESOURCES:
            self._asked.add(key)
            self._todo.put_nowait(key)

    async def _work(self) -> None:
        while True:
            path = await self._todo.get()
            try:
                await self._visit(path)
            finally:
                self._todo.task_done()

    async def _visit(self, path: str) -> None:
        if self._failures >= MAX_FAILURES:
            return
        name = path.rpartition("/")[2]
        is_list = name in _COLLECTIONS
        resource = await self.fetch(path, self.expand if is_list else "")
        if resource is None:
            return
        if "Members" in resource or type_of(resource).endswith("Collection"):
            await self._collection(path, resource)
        else:
            self._keep(path, resource)

    def _keep(self, path: str, resource: Json) -> None:
        if len(self.tree) >= MAX_RESOURCES:
            return
        self.tree[path] = resource
        for link in _links(resource, kind_of(resource, path)):
            self._want(link)

    async def _collection(self, path: str, resource: Json) -> None:
        """Members from the pages of a collection; those that came expanded are not asked again."""
        pages = [path + (f"?{self.expand}" if self.expand else "")]
        for _ in range(MAX_PAGES):
            members = resource.get("Members")
            for member in members if isinstance(members, list) else ():
                if not isinstance(member, dict):
                    continue
                link = member.get("@odata.id")
                if not isinstance(link, str) or not is_path(link):
                    continue
                key = link.rstrip("/")
                if len(member) > 1 and ("@odata.type" in member or "Id" in member):
                    if key not in self.tree:
                        self._asked.add(key)
                        self._keep(key, member)
                else:
                    self._want(key)
            following = resource.get("Members@odata.nextLink") or resource.get("@odata.nextLink")
            if not isinstance(following, str) or not following.startswith("/redfish/") or following in pages:
                break
            if self.expand and "expand" not in following:
                following += ("&" if "?" in following else "?") + self.expand
            if following in pages:
                break
            pages.append(following)
            base, _, query = following.partition("?")
            fetched = await self.fetch(base, query)
            if fetched is None:
                break
            resource = fetched
        self.pages[path] = pages

    async def fetch(self, path: str, query: str = "") -> Json | None:
        """One resource, or None and a finding (none where there is no such resource). Raises AuthError, which ends the walk."""
        target = quote(path, safe="/$()=&?.,:;@+-_~%!*'#") + (f"?{query}" if query else "")
        kind = SourceTrouble.UNREADABLE
        try:
            answer = await self.session.get(target)
            self._failures = 0
            return answer
        except AuthError:
            raise
        except MissingError:
            if query and "expand" in query:  # what is advertised is not always there
                return await self.fetch(path)
            return None
        except BusyError as error:
            kind, text = SourceTrouble.REFUSED, str(error)
            self._failures += 1
        except TimedOutError as error:
            kind, text = SourceTrouble.TIMED_OUT, str(error)
            self._failures += 1
        except UnreachableError as error:
            kind, text = SourceTrouble.UNREACHABLE, str(error)
            self._failures += 1
        except ParseError as error:
            if query and "expand" in query:
                return await self.fetch(path)
            text = str(error)
        except FleetctlError as error:
            text = str(error)
        self.findings.append(SourceFinding(kind, text, path))
        return None


_COLLECTIONS = frozenset(
    [
        "Chassis",
        "Systems",
        "Sensors",
        "PowerSupplies",
        "Batteries",
        "Fans",
        "LeakDetectors",
        "Pumps",
        "CoolantConnectors",
        "Heaters",
        "RackPDUs",
        "FloorPDUs",
        "PowerShelves",
        "Switchgear",
        "TransferSwitches",
        "ElectricalBuses",
        "Mains",
        "Branches",
        "Outlets",
        "OutletGroups",
        "Feeders",
        "Subfeeds",
        "CDUs",
        "HeatExchangers",
        "ImmersionUnits",
        "CoolingLoops",
        "RPUs",
        "PrimaryCoolantConnectors",
        "SecondaryCoolantConnectors",
        "Reservoirs",
    ]
)


def kind_of(resource: Mapping[str, Any], path: str) -> str:
    """The resource's type; where it names none that we know, the one that its place in the tree has."""
    kind = type_of(resource)
    if kind in LINKS:
        return kind
    parts = path.split("/")
    owner, name = (parts[-2], parts[-1]) if len(parts) > 4 else ("", "")
    if owner in _KINDS_BY_OWNER and not kind:
        return _KINDS_BY_OWNER[owner]
    return name if name in LINKS else kind


_KINDS_BY_OWNER = {
    "Chassis": "Chassis",
    "PowerSupplies": "PowerSupply",
    "Batteries": "Battery",
    "RackPDUs": "PowerDistribution",
    "PowerShelves": "PowerDistribution",
    "CDUs": "CoolingUnit",
}


def is_path(link: str) -> bool:
    """True for what can be a resource of this service, and be shown: printable, of a sane length, below /redfish/."""
    return link.startswith("/redfish/") and len(link) <= MAX_PATH and link.isprintable()


def _links(resource: Mapping[str, Any], kind: str) -> Iterator[str]:
    if kind == "PowerDistribution" or kind == "CoolingUnit" or kind in LINKS:
        names = LINKS[kind]
    else:
        return
    for name in names:
        target = resource.get(name)
        link = target.get("@odata.id") if isinstance(target, Mapping) else None
        if isinstance(link, str):
            yield link


def _expand_query(root: Mapping[str, Any]) -> str:
    """The form of $expand that the service advertises, or ""."""
    features = root.get("ProtocolFeaturesSupported")
    expand = features.get("ExpandQuery") if isinstance(features, Mapping) else None
    if not isinstance(expand, Mapping):
        return ""
    levels = "($levels=1)" if expand.get("Levels") else ""
    if expand.get("NoLinks"):
        return f"$expand=.{levels}"
    if expand.get("ExpandAll"):
        return f"$expand=*{levels}"
    return ""


def describe(tree: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Vendor, model, serial number and firmware of the machine, as far as the tree tells."""
    root = tree.get("/redfish/v1", {})
    out = {
        "vendor": text_of(root.get("Vendor")),
        "product": text_of(root.get("Product")),
        "redfish_version": text_of(root.get("RedfishVersion"), 20),
    }
    for path, resource in tree.items():
        if type_of(resource) in ("ComputerSystem", "PowerDistribution", "CoolingUnit", "Chassis"):
            for key, name in (("Manufacturer", "vendor"), ("Model", "model"), ("SerialNumber", "serial")):
                if not out.get(name):
                    out[name] = text_of(resource.get(key))
        if path.count("/") == 4 and path.startswith("/redfish/v1/Systems/") and not out.get("host"):
            out["host"] = text_of(resource.get("HostName"))
    return {k: v for k, v in out.items() if v}
