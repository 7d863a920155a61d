"""`fleetctl facility`: one BMC, PDU, UPS, cooler or meter by hand, and the list of all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetctl.errors import AuthError, FleetctlError, UsageError

if TYPE_CHECKING:
    from fleetctl.facility.endpoint import Credentials, Endpoint
    from fleetctl.model.facility import EndpointReport

app = typer.Typer(help="BMCs, PDUs, UPSes, coolers and meters.", no_args_is_help=True, rich_markup_mode=None)

_Url = Annotated[str, typer.Argument(help="https://, redfish+https://, ipmi://, snmp:// or modbus:// address")]
_Credentials = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        "-c",
        help="file of mode 0600: netrc, TOML or JSON (default: $FLEETCTL_CREDENTIALS, ~/.config/fleetctl/credentials)",
    ),
]
_Pin = Annotated[str, typer.Option("--tls-pin", help="SHA-256 of the certificate that is trusted, in hex")]
_Ca = Annotated[Path | None, typer.Option("--tls-ca", help="PEM file of the CA that is trusted")]
_Insecure = Annotated[bool, typer.Option("--insecure", help="trust any certificate; for tests only")]
_Timeout = Annotated[float, typer.Option("--timeout", help="limit of one question, in seconds", min=0.1, max=600)]
_Map = Annotated[str, typer.Option("--map", help="device map: a shipped name or a file")]
_Output = Annotated[str, typer.Option("--output", "-o", help="table, wide, json, yaml, csv or name")]


@app.command("read")
def read(
    url: _Url,
    output: _Output = "table",
    credentials: _Credentials = None,
    tls_pin: _Pin = "",
    tls_ca: _Ca = None,
    insecure: _Insecure = False,
    timeout: _Timeout = 30.0,
    map_: _Map = "",
) -> None:
    """Everything one endpoint tells, without a configuration."""
    endpoint = _endpoint(url, credentials, tls_pin, tls_ca, insecure, timeout, map_)
    report = _ask(endpoint)
    _print_report(report, output)


@app.command("explain")
def explain(
    url: _Url,
    output: _Output = "table",
    credentials: _Credentials = None,
    tls_pin: _Pin = "",
    tls_ca: _Ca = None,
    insecure: _Insecure = False,
    timeout: _Timeout = 30.0,
    map_: _Map = "",
) -> None:
    """Raw beside decoded values, so that a map can be written for an unknown device."""
    import asyncio

    from fleetctl.facility.source import open_source

    endpoint = _endpoint(url, credentials, tls_pin, tls_ca, insecure, timeout, map_)

    async def go() -> list[dict[str, Any]]:
        source = open_source(endpoint)
        try:
            rows = await source.explain()
        finally:
            await source.close()
        return [{"source": r.source, "raw": r.raw, "decoded": r.decoded, "note": r.note} for r in rows]

    _print_rows(asyncio.run(go()), output, ("source", "raw", "decoded", "note"), "source")


@app.command("list")
def list_(
    output: _Output = "table",
    filter_text: Annotated[str, typer.Option("--filter", "-f", help="rows to keep")] = "",
    sort: Annotated[str, typer.Option("--sort", "-s", help="columns to sort by")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="rows at most; 0: all")] = 0,
) -> None:
    """Every endpoint of fleet.toml: how fresh it is, what it draws, why it is silent."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot
    from fleetctl.cli.output import Format
    from fleetctl.errors import NotFoundError
    from fleetctl.views.facility import load, table

    try:
        with snapshot() as conn:
            rows = load(conn, context.config(), context.inventory())
    except NotFoundError:
        rows = load(None, context.config(), context.inventory())  # nothing was polled yet: what is declared
    try:
        form = Format(output)
    except ValueError:
        raise UsageError(f"no output form {output!r}", hint="table, wide, json, yaml, csv or name") from None
    print_rows(table(rows), output=form, filter_text=filter_text, sort=sort, limit=limit)


@app.command("doctor")
def doctor(name: Annotated[str, typer.Argument(help="endpoint or host of fleet.toml")]) -> None:
    """Try one endpoint of fleet.toml by hand: credentials, trust, answer, total power. Writes nothing."""
    from fleetctl.cli import context
    from fleetctl.facility.endpoints import one_endpoint

    asked = one_endpoint(name, context.config(), context.inventory())
    print(f"endpoint     {asked.name} ({asked.kind}) {asked.url}")
    endpoint = asked.endpoint()
    creds = endpoint.credentials
    print(f"credentials  {'user ' + creds.user if creds.user else 'none' if not creds.community else 'a community'}")
    trust = "pinned" if endpoint.tls_pin else str(endpoint.tls_ca) if endpoint.tls_ca else "the system's CAs"
    print(f"trust        {trust}")
    report = _ask(endpoint)
    print(f"answers      {len(report.readings)} readings, {len(report.states)} states, {len(report.unknown)} unknown")
    total = "-" if report.total_power_w is None else f"{report.total_power_w:g} W from {report.total_power_source}"
    print(f"total power  {total}")
    for finding in report.findings:
        print(f"{finding.kind.value:<12} {_cell(finding.text)}")


def _endpoint(
    url: str, credentials: Path | None, tls_pin: str, tls_ca: Path | None, insecure: bool, timeout: float, map_: str
) -> Endpoint:
    from fleetctl.facility.endpoint import parse_url

    plain = parse_url(url)
    return parse_url(
        url,
        credentials=_credentials(credentials, plain.host),
        tls_pin=tls_pin,
        tls_ca=tls_ca,
        insecure=insecure,
        timeout_s=timeout,
        map_path=map_,
    )


def _credentials(path: Path | None, host: str) -> Credentials | None:
    """From the file named by the flag, by $FLEETCTL_CREDENTIALS, or the usual places; None: none is needed."""
    from fleetctl.facility.credentials import load_credentials

    if path is not None:
        return load_credentials(path, host)
    named = os.environ.get("FLEETCTL_CREDENTIALS")
    if named:
        return load_credentials(Path(named).expanduser(), host)
    for usual in ("~/.config/fleetctl/credentials", "~/.netrc"):
        file = Path(usual).expanduser()
        if file.is_file():
            try:
                return load_credentials(file, host)
            except AuthError:
                continue  # a file for other hosts
    return None


def _ask(endpoint: Endpoint) -> EndpointReport:
    import asyncio

    from fleetctl.facility.source import open_source

    async def go() -> EndpointReport:
        source = open_source(endpoint)
        try:
            return await source.read()
        finally:
            await source.close()

    return asyncio.run(go())


def _print_report(report: EndpointReport, output: str) -> None:
    from fleetctl.facility.render import report_json

    data = report_json(report)
    for finding in data["findings"]:
        print(f"{finding['kind']}: {finding['text']}", file=sys.stderr)
    if output in ("json", "yaml"):
        _dump(data, output)
        return
    columns: tuple[str, ...] = ("quantity", "where", "value", "unit", "as_of")
    if output in ("wide", "csv"):
        columns = ("quantity", "where", "value", "unit", "source", "raw", "as_of")
    _print_rows(data["readings"], output, columns, "where")
    if output in ("table", "wide"):
        for state in data["states"]:
            print(f"{state['what']}  {state['where']}  {state['word']}")
        total = data["total_power_w"]
        shown = "-" if total is None else f"{total:g} W  ({data['total_power_source']})"
        print(f"total power  {shown}")
    if not report.readings and not report.states and report.findings:
        raise FleetctlError(f"{report.url}: nothing could be read", hint="the findings above say why")


def _dump(data: Any, output: str) -> None:
    import json

    if output == "yaml":
        print(_yaml(data))
    else:
        print(json.dumps(data, indent=1, ensure_ascii=False))


def _yaml(data: Any, indent: int = 0) -> str:
    """JSON scalars in YAML blocks: every JSON string is a YAML string."""
    import json

    pad = "  " * indent
    if isinstance(data, dict) and data:
        lines = []
        for key, value in data.items():
            if isinstance(value, dict | list) and value:
                lines.append(f"{pad}{key}:\n{_yaml(value, indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines)
    if isinstance(data, list) and data:
        return "\n".join(f"{pad}-\n{_yaml(item, indent + 1)}" for item in data)
    return pad + json.dumps(data, ensure_ascii=False)


def _print_rows(rows: list[dict[str, Any]], output: str, columns: tuple[str, ...], key: str) -> None:
    import csv

    if output in ("json", "yaml"):
        _dump(rows, output)
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if row.get(c) is None else row.get(c) for c in columns] for row in rows])
    elif output == "name":
        for row in rows:
            print(row[key])
    elif output in ("table", "wide"):
        cells = [[_cell(row.get(c)) for c in columns] for row in rows]
        widths = [max([len(c), *(len(line[i]) for line in cells)]) for i, c in enumerate(columns)]
        for line in [[c.upper() for c in columns], *cells]:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    else:
        raise UsageError(f"no output form {output!r}", hint="table, wide, json, yaml, csv or name")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)
