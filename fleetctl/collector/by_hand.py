"""Probes asked of one host by hand, and their raw answers kept as fixtures, scrubbed of names."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetctl.config.schema import Config
from fleetctl.errors import NotFoundError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome, Output, Probe
from fleetctl.model.reading import ProbeResult
from fleetctl.plugin import load_plugins
from fleetctl.probes.json_form import result_json
from fleetctl.probes.parsing import guarded
from fleetctl.transport.base import Session
from fleetctl.transport.build import build_transports

MAX_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe, what its command printed, and what was understood."""

    probe: Probe
    output: Output
    result: ProbeResult
    took_s: float


def chosen_probes(names: Sequence[str]) -> list[Probe]:
    """The probes named, or all that have a command. Raises NotFoundError."""
    probes = [p for plugin in load_plugins()[0] for p in plugin.probes]
    if not names:
        return [p for p in probes if p.command]
    by_name = {p.name: p for p in probes}
    missing = [n for n in names if n not in by_name]
    if missing:
        raise NotFoundError(f"no probe named {missing[0]!r}", hint="`fleetctl probe list` shows all")
    return [by_name[n] for n in names]


def script(probe: Probe) -> str:
    """The command as the host loop runs it: C locale, UTC, the vendors' folders on PATH, stopped at its limit."""
    paths = ":".join(dict.fromkeys(p for plugin in load_plugins()[0] for p in plugin.paths))
    return (
        f"LC_ALL=C TZ=UTC PATH=$PATH:{paths}; export LC_ALL TZ PATH; "
        f"if command -v timeout >/dev/null 2>&1; then exec timeout -k 2 {probe.timeout_s:g} sh -c {shlex.quote(probe.command)}; "
        f"else {probe.command}\nfi"
    )


async def ask_host(config: Config, host: Host, probes: Sequence[Probe]) -> list[Answer]:
    """Answers of the probes that fit the host, one after the other. Raises UnreachableError, AuthError ..."""
    transports = build_transports(config)
    session: Session | None = None
    try:
        session = await transports[host.transport].connect(host)
        return [answer for probe in probes if (answer := await _ask(session, probe)) is not None]
    finally:
        if session is not None:
            await session.close()
        for transport in transports.values():
            await transport.close()


async def _ask(session: Session, probe: Probe) -> Answer | None:
    if probe.detect:
        paths = ":".join(dict.fromkeys(p for plugin in load_plugins()[0] for p in plugin.paths))
        look = await session.run(f"PATH=$PATH:{paths}; {probe.detect}", timeout_s=10.0)
        if look.outcome is not Outcome.DONE or look.exit_status != 0:
            return None
    if not probe.command:
        return None
    started = time.monotonic()
    output = await session.run(script(probe), timeout_s=probe.timeout_s + 5.0, max_bytes=MAX_BYTES)
    if output.outcome is Outcome.DONE and output.exit_status in (124, 137):
        output = Output(output.stdout, output.stderr, output.exit_status, Outcome.TIMEOUT, output.at)
    return Answer(probe, output, guarded(probe.parse, output), time.monotonic() - started)


_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?!\.\d)")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b")
_HOME = re.compile(r"(/(?:home|Users)/)[^/\s]+")


def scrub(text: str, host: Host, known: Sequence[str] = ()) -> str:
    """Without the host's name, known names, addresses, UUIDs, serials, mail addresses and home folders; lengths stay, so do columns."""
    names = sorted(
        {n for n in (host.name, host.address or "", host.user or "", *known) if len(n) > 2}, key=len, reverse=True
    )
    for name in names:
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "x" * len(name), text)
    text = _UUID.sub(_numbered(text), text)
    text = _ADDRESS.sub(lambda m: m[0] if _is_version(m[0]) else re.sub(r"\d", "0", m[0]), text)
    text = _MAIL.sub(lambda m: "x" * len(m[0]), text)
    return _HOME.sub(lambda m: m[1] + "x" * (len(m[0]) - len(m[1])), text)


def _is_version(text: str) -> bool:
    """`25.5.1.0` and the like: addresses of hosts seldom begin below 10."""
    return text.startswith("0.") or (all(int(p) < 100 for p in text.split(".")) and not text.startswith("10."))


def _numbered(text: str) -> Callable[[re.Match[str]], str]:
    """UUIDs by the order of their first appearance, so that the same card stays the same card."""
    order = {u: i for i, u in enumerate(dict.fromkeys(m[0].lower() for m in _UUID.finditer(text)), 1)}
    return lambda match: f"{order[match[0].lower()]:08x}-0000-0000-0000-{order[match[0].lower()]:012x}"


def save_recording(folder: Path, host: Host, answer: Answer) -> Path:
    """Write `<plugin>/<probe>.txt` and the `.json` that was understood of it; returns the path of the text."""
    serials = [d for r in answer.result.readings for d in (r.device.serial,) if d]
    users = {p.user for p in answer.result.processes if p.user and p.user != "root"}
    text = scrub(answer.output.stdout, host, [*serials, *users])
    vendor, _, what = answer.probe.name.partition(".")
    place = folder / vendor
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{what or vendor}.txt"
    number = 2
    while path.exists():
        path = place / f"{what or vendor}-{number}.txt"
        number += 1
    path.write_text(text, encoding="utf-8")
    understood = guarded(answer.probe.parse, Output(text, exit_status=answer.output.exit_status))
    path.with_suffix(".json").write_text(result_json(understood) + "\n", encoding="utf-8")
    about = {"probe": answer.probe.name, "exit_status": answer.output.exit_status, "outcome": str(answer.output.outcome),
             "took_s": round(answer.took_s, 2), "stderr": scrub(answer.output.stderr, host, serials)[:2000]}  # fmt: skip
    path.with_suffix(".about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return path
