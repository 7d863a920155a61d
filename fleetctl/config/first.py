"""A first fleet.toml from what a person already has: an SSH config, or a list of host names."""

from __future__ import annotations

import glob
import json
import re
from pathlib import Path

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_MAX_INCLUDES = 64


def hosts_in_ssh_config(path: Path) -> list[str]:
    """Literal `Host` names of an OpenSSH client config and what it includes, in order, without patterns and doubles.

    Raises OSError when the file itself cannot be read; an Include that cannot be read is passed over, as ssh does.
    """
    names: dict[str, None] = {}
    _collect(path.expanduser(), names, [], must=True)
    return list(names)


def _collect(path: Path, names: dict[str, None], seen: list[Path], *, must: bool) -> None:
    if path in seen or len(seen) > _MAX_INCLUDES:
        return
    seen.append(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        if must:
            raise
        return
    for line in text.splitlines():
        words = line.strip().replace("=", " ", 1).split()
        if not words or words[0].startswith("#"):
            continue
        keyword = words[0].lower()
        if keyword == "host":
            for word in words[1:]:
                if _NAME.match(word.strip('"')):
                    names.setdefault(word.strip('"'))
        elif keyword == "include":
            for pattern in words[1:]:
                place = Path(pattern.strip('"')).expanduser()
                for file in sorted(glob.glob(str(place if place.is_absolute() else path.parent / place))):
                    _collect(Path(file), names, seen, must=False)


def names_in_text(text: str) -> list[str]:
    """Host names in a list: one or more a line, `#` comments, an /etc/hosts-like address in front is passed over."""
    names: dict[str, None] = {}
    for line in text.splitlines():
        for word in re.split(r"[\s,;]+", line.split("#", 1)[0]):
            if _NAME.match(word) and not re.fullmatch(r"[\d.]+", word):
                names.setdefault(word)
    return list(names)


def first_config(folded: str, count: int, *, site: str, name: str, ssh_config: str | None) -> str:
    """The text of a small fleet.toml for these hosts (already folded). It loads as it stands."""
    lines = [
        "# A first fleet.toml, written by `fleetctl init`. Every other setting: `fleetctl config explain`.",
        f"name = {_text(name)}",
        "",
        "[[sites]]",
        f"name = {_text(site)}",
        '# title = "", operator = "", region = "", grid_region = "": fill in when reports should name them',
        "",
        f"# {count} host{'s' if count != 1 else ''}; ports, users, keys and jump hosts come from your SSH config.",
        "[[hosts]]",
        f"nodes = {_text(folded)}",
        f"site = {_text(site)}",
        "# cards = 8  # accelerators each host should have: a missing one is then reported",
        "",
        "[ssh]",
        'host_key_policy = "strict"  # only hosts in your known_hosts; "accept-new" takes a new host at its word once',
    ]
    if ssh_config:
        lines.append(f"config = {_text(ssh_config)}")
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
