"""A Redfish endpoint as a source: the complete reading, and the short poll that follows it."""

from __future__ import annotations

import time

from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, RawValue, SourceFinding, SourceTrouble
from fleetctl_redfish.actions import act, first_system
from fleetctl_redfish.metric_reports import find_reports, is_report, read_report, with_report
from fleetctl_redfish.poll import MAX_QUESTIONS, parts_of, poll_targets, rest_of, round_of
from fleetctl_redfish.session import RedfishSession
from fleetctl_redfish.total import matters, total_power
from fleetctl_redfish.tree import Json, Walk, describe, is_path
from fleetctl_redfish.values import Found, read_resource, rename_repeated, text_of, type_of


class RedfishSource:
    """One service. `read` walks it (slow); `poll` asks at most three questions, chosen after the first walk."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.session = RedfishSession(endpoint)
        self._targets: list[str] = []  # the questions of a poll; none before the first walk
        self._rest: list[str] = []
        self._keep = 0  # how many of the targets the total is made of
        self._turn = 0
        self._tree: dict[str, Json] = {}  # of the walked tree what a poll needs beside its answers
        self._newest: dict[str, float | None] = {}  # report -> the newest moment in it

    async def read(self) -> EndpointReport:
        walk = Walk(self.session)
        await walk.run()
        complete = not walk.findings  # broken reports repeat what the tree said; they take nothing from it
        reports = await find_reports(walk)
        targets = poll_targets(walk.tree, walk.pages)
        asked = {t.partition("?")[0] for t in targets}
        total = total_power(walk.tree)
        keep = sum(p in asked or p.rpartition("/")[0] in asked for p in parts_of(total, walk.tree))
        self._keep = min(keep, len(targets))
        self._targets = with_report(targets, list(reports), self._keep, MAX_QUESTIONS)
        reported = next(iter(reports.values()), frozenset())
        self._rest = rest_of(walk.tree, walk.pages, self._targets, reported)
        # A thousand trees of half a megabyte are not kept: parts of the total, and sensors where reports tell of them.
        self._tree = {p: r for p, r in walk.tree.items() if matters(p, r) or (reports and "/Sensors/" in p)}
        for path, resource in walk.tree.items():
            if type_of(resource) == "ComputerSystem":  # of these only whether they run
                self._tree[path] = {k: resource.get(k) for k in ("@odata.type", "PowerState")}
        return self._report(walk.tree, total, walk.findings, device=describe(walk.tree), complete=complete)

    async def poll(self) -> EndpointReport:
        if not self._targets:
            return await self.read()
        fresh: dict[str, Json] = {}
        reported: dict[str, Json] = {}
        findings: list[SourceFinding] = []
        targets = round_of(self._targets, self._rest, self._turn, self._keep)
        self._turn += 1
        for target in targets:  # one after the other: a poll needs one socket
            path = target.partition("?")[0]
            try:
                resource = await self.session.get(target)
            except AuthError:
                raise
            except FleetctlError as error:
                kind = SourceTrouble.UNREADABLE if isinstance(error, ParseError) else SourceTrouble.TIMED_OUT
                findings.append(SourceFinding(kind, str(error), path))
                continue
            members = resource.get("Members")
            if is_report(resource):
                reported[path] = resource
            elif isinstance(members, list):
                for member in members:
                    if isinstance(member, dict) and is_path(text_of(member.get("@odata.id"), 1_000)):
                        fresh[member["@odata.id"].rstrip("/")] = member
            else:
                fresh[path] = resource
        if not fresh and not reported and findings:
            raise _as_error(findings[0])
        for path, resource in reported.items():
            said = read_report(resource, self._tree)
            if self._newest.get(path) == said.newest is not None:
                continue  # the report was not made anew: nothing in it is of now
            self._newest[path] = said.newest
            for name, sensor in said.sensors.items():
                fresh.setdefault(name, sensor)
        self._tree.update({p: r for p, r in fresh.items() if p in self._tree})
        total = total_power(self._tree)
        # A total whose parts were not all read again is not a total of now.
        current = total if all(p in fresh for p in parts_of(total, self._tree)) else None
        return self._report(fresh, current, findings, device={}, complete=False)

    def _report(
        self,
        fresh: dict[str, Json],
        total: tuple[float, str] | None,
        findings: list[SourceFinding],
        *,
        device: dict[str, str],
        complete: bool,
    ) -> EndpointReport:
        at = time.time()
        found = Found(findings=list(findings))
        for path, resource in fresh.items():
            read_resource(resource, path, at, found)
        return EndpointReport(
            url=self.endpoint.url,
            kind="redfish",
            at=at,
            readings=tuple(rename_repeated(found.readings)),
            states=tuple(found.states),
            unknown=tuple(found.unknown),
            findings=tuple(found.findings),
            total_power_w=total[0] if total else None,
            total_power_source=total[1] if total else "",
            device=device,
            complete=complete,
        )

    async def explain(self) -> list[RawValue]:
        """Every reading with the resource and the bytes behind it, and every property that is null."""
        report = await self.read()
        rows = [
            RawValue(r.source, r.raw, f"{r.value:g} {r.unit}", f"{r.quantity} of {r.where}") for r in report.readings
        ]
        rows += [RawValue(u.source, u.raw, "unknown", f"{u.quantity} of {u.where}") for u in report.unknown]
        rows += [RawValue(s.source, s.raw, s.word, f"{s.what} of {s.where}") for s in report.states]
        return sorted(rows, key=lambda row: row.source)

    async def power_state(self) -> str:
        """on, off, poweringon ... or unknown."""
        system = await first_system(self.session)
        return text_of(system.get("PowerState")).lower() or "unknown"

    async def act(self, action: str, value: float | None = None) -> str:
        """on, off, off_now, cycle, identify, identify_off, cap. See fleetctl_redfish.actions."""
        return await act(self.session, action, value)

    async def close(self) -> None:
        await self.session.close()


def _as_error(finding: SourceFinding) -> FleetctlError:
    error = ParseError if finding.kind is SourceTrouble.UNREADABLE else TimedOutError
    return error(finding.text, hint="it is asked again later")


def open_source(endpoint: Endpoint) -> RedfishSource:
    """The factory named in the plugin."""
    return RedfishSource(endpoint)
