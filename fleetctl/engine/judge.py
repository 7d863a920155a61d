"""From reports to findings: rules over each report, faults kept until the host was restarted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from fleetctl.config.schema import Thresholds
from fleetctl.health.evaluate import all_rules, evaluate, fault_conditions, hold_rounds
from fleetctl.health.rule import Rule
from fleetctl.model.host import Host
from fleetctl.model.report import HostReport
from fleetctl.store.database import Database
from fleetctl.store.findings import FindingState, list_findings, open_finding, resolve_finding, save_verdicts
from fleetctl.store.hosts import list_host_facts

FAULT_RULE = "fault"


class Judge:
    """Opens, holds and resolves findings from one round to the next. hosts: the inventory's, by name."""

    def __init__(self, hosts: Mapping[str, Host], thresholds: Thresholds, extra: Iterable[Rule] = ()) -> None:
        self._hosts = hosts
        self._thresholds = thresholds
        self._rules = all_rules(extra)
        self._holds = hold_rounds(self._rules, thresholds)
        self._boot_ids: dict[str, str] = {}

    def load(self, conn: sqlite3.Connection) -> None:
        """Remember which boot of each host the store knows, so that a reboot while no engine ran is noticed."""
        for name, facts in list_host_facts(conn).items():
            if boot_id := facts.get("boot_id"):
                self._boot_ids[name] = boot_id

    def save(self, db: Database, slot: int, reports: Sequence[HostReport]) -> None:
        """Judge one batch of reports and bring the findings up to date."""
        known = [(self._hosts[report.host], report) for report in reports if report.host in self._hosts]
        verdicts = [evaluate(host, report, self._thresholds, self._rules) for host, report in known]
        with db.write() as conn:
            save_verdicts(conn, slot, verdicts, self._holds)
            for _, report in known:
                if report.facts:
                    self._note_boot(conn, report)
                if report.faults:
                    for one in fault_conditions(report):
                        open_finding(
                            conn,
                            report.at,
                            FAULT_RULE,
                            one.text,
                            severity=one.severity,
                            host=one.host,
                            device=one.device or "",
                            value=one.value,
                        )

    def _note_boot(self, conn: sqlite3.Connection, report: HostReport) -> None:
        """A host that was restarted has left its faults behind; one that is still broken says so again."""
        boot_id = report.facts.get("boot_id")
        if not boot_id or self._boot_ids.get(report.host, boot_id) == boot_id:
            if boot_id:
                self._boot_ids[report.host] = boot_id
            return
        self._boot_ids[report.host] = boot_id
        for finding in list_findings(conn, host=report.host, states=(FindingState.PENDING, FindingState.FIRING)):
            if finding.rule == FAULT_RULE:
                resolve_finding(conn, report.at, finding.id, who="restart of the host")
