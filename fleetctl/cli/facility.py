"""`fleetctl facility`: one BMC, PDU, UPS, cooler or meter by hand, and the list of all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.errors import AuthError, FleetctlError

if TYPE_CHECKING:
    from fleetctl.facility.endpoint import Credentials, Endpoint
    from fleetctl.model.facility import EndpointReport

app = typer.Typer(help="BMCs, PDUs, UPSes, coolers and meters.", no_args_is_help=True, rich_markup_mode=None)

_Url = Annotated[
    str,
    typer.Argument(
        help="https://, redfish+https://, ipmi://, snmp://, modbus://, bacnet://, mqtt:// or mqtts:// address"
    ),
]
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


@app.command("read")
def read(
    url: _Url,
    output: OutputOption = Format.TABLE,
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
    output: OutputOption = Format.TABLE,
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

    _print_rows(asyncio.run(go()), output, ("source", "raw", "decoded", "note"), (), "source")


@app.command("list")
def list_(
    output: OutputOption = Format.TABLE,
    filter_text: Annotated[str, typer.Option("--filter", "-f", help="rows to keep")] = "",
    sort: Annotated[str, typer.Option("--sort", "-s", help="columns to sort by")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="rows at most; 0: all")] = 0,
) -> None:
    """Every endpoint of fleet.toml: how fresh it is, what it draws, why it is silent."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot
    from fleetctl.errors import NotFoundError
    from fleetctl.views.facility import load, table

    try:
        with snapshot() as conn:
            rows = load(conn, context.config(), context.inventory())
    except NotFoundError:
        rows = load(None, context.config(), context.inventory())  # nothing was polled yet: what is declared
    print_rows(table(rows), output=output, filter_text=filter_text, sort=sort, limit=limit)


@app.command("doctor")
def doctor(name: Annotated[str, typer.Argument(help="endpoint or host of fleet.toml")]) -> None:
    """Try one endpoint of fleet.toml by hand: credentials, trust, answer, total power. Writes nothing."""
    from fleetctl.cli import context
    from fleetctl.cli.output import clean
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
        print(clean(f"{finding.kind.value:<12} {finding.text}"))


def _endpoint(
    url: str, credentials: Path | None, tls_pin: str, tls_ca: Path | None, insecure: bool, timeout: float, map_: str
) -> Endpoint:
    from fleetctl.facility.endpoint import own_maps, parse_url

    plain = parse_url(url)
    return parse_url(
        url,
        credentials=_credentials(credentials, plain.host),
        tls_pin=tls_pin,
        tls_ca=tls_ca,
        insecure=insecure,
        timeout_s=timeout,
        map_path=map_,
        maps=own_maps(),
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


def _print_report(report: EndpointReport, output: Format) -> None:
    from fleetctl.cli.output import clean, print_data
    from fleetctl.facility.render import report_json

    data = report_json(report)
    for finding in data["findings"]:
        print(clean(f"{finding['kind']}: {finding['text']}"), file=sys.stderr)
    if output in (Format.JSON, Format.YAML):
        print_data(data, output)
        return
    _print_rows(data["readings"], output, ("quantity", "where", "value", "unit"), ("source", "raw", "as_of"), "where")
    if output in (Format.TABLE, Format.WIDE):
        for state in data["states"]:
            print(clean(f"{state['what']}  {state['where']}  {state['word']}"))
        total = data["total_power_w"]
        shown = "-" if total is None else f"{total:g} W  ({data['total_power_source']})"
        print(clean(f"total power  {shown}"))
    if not report.readings and not report.states and report.findings:
        raise FleetctlError(f"{report.url}: nothing could be read", hint="the findings above say why")


def _print_rows(
    rows: list[dict[str, Any]], output: Format, columns: tuple[str, ...], wide: tuple[str, ...], key: str
) -> None:
    """Plain records as a table; the wide columns also with csv."""
    from fleetctl.cli.output import print_table
    from fleetctl.views.column import Column, Table

    def column(name: str, *, only_wide: bool) -> Column[dict[str, Any]]:
        right = name == "value"
        return Column(name, name, lambda r: r.get(name), (lambda v: f"{v:.6g}") if right else None, 8, right, only_wide)

    shown = [*(column(n, only_wide=False) for n in columns), *(column(n, only_wide=True) for n in wide)]
    print_table(Table("reading", shown, rows, lambda r: str(r[key])), output)
