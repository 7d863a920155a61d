"""`fleetctl init`: a first fleet.toml from the SSH config or a list of names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetctl.errors import ConflictError, NotFoundError, UsageError

app = typer.Typer()


@app.command()
def init(
    names: Annotated[
        list[str] | None, typer.Argument(help="hosts or node sets; `-` reads names from standard input")
    ] = None,
    ssh_config: Annotated[Path, typer.Option(help="take the hosts of this SSH config")] = Path("~/.ssh/config"),
    site: Annotated[str, typer.Option(help="site they are in")] = "site1",
    name: Annotated[str, typer.Option(help="name of the fleet")] = "fleet",
    output: Annotated[Path, typer.Option("--write", "-w", help="file to write")] = Path("fleet.toml"),
    force: Annotated[bool, typer.Option("--force", help="replace an existing file")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print it, write nothing")] = False,
) -> None:
    """Write a first fleet.toml from ~/.ssh/config, or from the hosts named."""
    from fleetctl.config import parse_config
    from fleetctl.config.first import first_config, hosts_in_ssh_config, names_in_text
    from fleetctl.inventory import build_inventory, expand, fold

    if output.exists() and not force and not dry_run:
        raise ConflictError(f"{output} exists already", hint="--force replaces it; --dry-run only prints")
    if names == ["-"]:
        hosts = names_in_text(sys.stdin.read(16_000_000))
    elif names:
        hosts = list(dict.fromkeys(host for text in names for host in expand(text)))
    else:
        try:
            hosts = hosts_in_ssh_config(ssh_config)
        except OSError as error:
            hint = "name the hosts: fleetctl init gpu[001-128], or pipe a list: fleetctl init - < hosts.txt"
            raise NotFoundError(f"{ssh_config}: {error.strerror}", hint=hint) from error
    if not hosts:
        raise UsageError(f"no host names found in {ssh_config}", hint="name them: fleetctl init gpu[001-128]")
    custom = None if names or ssh_config == Path("~/.ssh/config") else str(ssh_config.expanduser().resolve())
    text = first_config(fold(hosts), len(hosts), site=site, name=name, ssh_config=custom)
    build_inventory(parse_config(text.encode(), str(output)))
    if dry_run:
        print(text, end="")
        return
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {len(hosts)} hosts. Next: `fleetctl doctor {hosts[0]}`, then `fleetctl`", file=sys.stderr)
