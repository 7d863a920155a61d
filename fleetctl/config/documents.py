"""fleet.example.toml and the settings reference, generated from the one declaration in schema.py.

`python -m fleetctl.config.documents example|reference` prints them; a test keeps the files in the tree current.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import typing
from collections.abc import Iterator
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.config.setting import default_of, is_required, kind_of

_HEAD = """# Every setting of fleetctl. A setting with a leading # stands at its default; uncomment to change it.
# Generated from fleetctl/config/schema.py: python -m fleetctl.config.documents example
"""


def example() -> str:
    """The text of fleet.example.toml. It loads as it stands."""
    return _HEAD + "\n".join(_table(Config, ()))


def _table(cls: type[Any], path: tuple[str, ...]) -> Iterator[str]:
    hints = typing.get_type_hints(cls)
    inner: list[tuple[str, Any, bool]] = []
    for field in dataclasses.fields(cls):
        kind, listed = kind_of(hints[field.name])
        if dataclasses.is_dataclass(kind):
            inner.append((field.name, kind, listed))
            continue
        yield ""
        yield f"# {_sentence(field)}"
        example_value = field.metadata.get("example")
        required = is_required(field)
        value = example_value if example_value is not None else default_of(field)
        # What locates a thing is shown live, so that the example loads; everything else stands at its default.
        live = required or (example_value is not None and path != ())
        text = _toml(value)
        yield f"{field.name} = {text}" if live and text else f"# {field.name} = {text or '(not set)'}"
    for name, kind, listed in inner:
        here = (*path, name)
        yield ""
        yield ""
        doc = (kind.__doc__ or "").strip().splitlines()[0]
        yield f"# {doc}"
        live_list = listed and ".".join(here) in _LIVE
        header = f"[[{'.'.join(here)}]]" if listed else f"[{'.'.join(here)}]"
        lines = list(_table(kind, here))
        if listed and not live_list:
            yield f"# {header}"
            yield from (line if line.startswith("#") or not line else f"# {line}" for line in lines)
        else:
            yield header
            yield from lines


_LIVE = {
    *("sites", "halls", "racks", "pools", "hosts", "groups", "tenants", "prices", "schedulers"),
    *(f"facility.{name}" for name in ("bmcs", "devices", "feeds", "meters", "zones")),
}


def reference() -> str:
    """The text of docs/reference/settings.md."""
    out = [
        "# Settings of fleet.toml",
        "",
        "Generated from `fleetctl/config/schema.py`; the example file shows them in place.",
        "",
    ]
    for title, cls in _sections(Config, ""):
        out += [
            f"## {title}",
            "",
            (cls.__doc__ or "").strip(),
            "",
            "| key | type | unit | default | limits | meaning |",
            "|---|---|---|---|---|---|",
        ]
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            kind, listed = kind_of(hints[field.name])
            if dataclasses.is_dataclass(kind):
                continue
            name = {str: "text", int: "whole number", float: "number", bool: "true/false"}.get(kind, str(kind))
            m = field.metadata
            required = is_required(field)
            default = "required" if required else (f"`{text}`" if (text := _toml(default_of(field))) else "none")
            out.append(
                f"| `{field.name}` | {'list of ' if listed else ''}{name} | {m.get('unit') or ''} | {default} | {_limits(m)} | {m['doc']} |"
            )
        out.append("")
    return "\n".join(out)


def _sections(cls: type[Any], prefix: str) -> Iterator[tuple[str, type[Any]]]:
    yield prefix or "top of the file", cls
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind, listed = kind_of(hints[field.name])
        if dataclasses.is_dataclass(kind):
            name = f"{prefix.strip('[]')}.{field.name}" if prefix else field.name
            yield from _sections(typing.cast("type[Any]", kind), f"[[{name}]]" if listed else f"[{name}]")


def _sentence(field: dataclasses.Field[Any]) -> str:
    m = field.metadata
    extra = "; ".join(part for part in (f"unit: {m['unit']}" if m.get("unit") else "", _limits(m)) if part)
    return f"{m['doc']}" + (f" ({extra})" if extra else "")


def _limits(m: Any) -> str:
    parts = []
    if m.get("choices"):
        parts.append(" / ".join(c or '""' for c in m["choices"]))
    if m.get("minimum") is not None:
        parts.append(f"at least {m['minimum']:g}")
    if m.get("maximum") is not None:
        parts.append(f"at most {m['maximum']:g}")
    return ", ".join(parts)


def _toml(value: Any) -> str:
    """A TOML literal; "" for what TOML cannot say (none)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write({"example": example, "reference": reference}[sys.argv[1]]() + "\n")
