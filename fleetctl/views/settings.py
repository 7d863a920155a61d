"""Settings as rows: what may be set (from the one declaration) and what is in force."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.config.setting import default_of, is_required, kind_of
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class SettingRow:
    """key: path in fleet.toml, [] for lists of tables; default: as TOML writes it, None when there is none."""

    key: str
    doc: str
    type: str
    unit: str | None
    default: str | None
    limits: str | None
    required: bool


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value in force. changed: differs from the default."""

    key: str
    value: str
    changed: bool


SETTING_COLUMNS: tuple[Column[SettingRow], ...] = (
    Column("key", "key", lambda r: r.key, width=18, doc="path in fleet.toml"),
    Column("type", "type", lambda r: r.type, width=6, doc="kind of value"),
    Column("unit", "unit", lambda r: r.unit, width=4, doc="unit"),
    Column("default", "default", lambda r: "required" if r.required else r.default, width=8, doc="without it"),
    Column("limits", "limits", lambda r: r.limits, width=8, wide=True, doc="what is allowed"),
    Column("doc", "meaning", lambda r: r.doc, width=24, doc="what it means"),
)
VALUE_COLUMNS: tuple[Column[ValueRow], ...] = (
    Column("key", "key", lambda r: r.key, width=24, doc="path in fleet.toml"),
    Column("value", "value", lambda r: r.value, width=20, doc="what is in force"),
    Column("changed", "changed", lambda r: r.changed, width=7, doc="differs from the default"),
)


def declared() -> list[SettingRow]:
    """Every setting there is, in the order of the declaration."""
    return list(_declared(Config, ""))


def _declared(cls: type[Any], prefix: str) -> Iterator[SettingRow]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind, listed = kind_of(hints[field.name])
        key = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(kind):
            yield from _declared(typing.cast("type[Any]", kind), f"{key}[]." if listed else f"{key}.")
            continue
        meta = field.metadata
        name = {str: "text", int: "whole", float: "number", bool: "bool"}.get(kind, "table")
        yield SettingRow(
            key=key,
            doc=meta.get("doc", ""),
            type=f"{name} list" if listed else name,
            unit=meta.get("unit") or None,
            default=None if is_required(field) else _spell(default_of(field)),
            limits=_limits(meta) or None,
            required=is_required(field),
        )


def _limits(meta: Any) -> str:
    parts = [" / ".join(c or '""' for c in meta["choices"])] if meta.get("choices") else []
    parts += [
        f"{sign} {meta[name]:g}" for sign, name in ((">=", "minimum"), ("<=", "maximum")) if meta.get(name) is not None
    ]
    return ", ".join(parts)


def _spell(value: Any) -> str | None:
    return None if value is None else json.dumps(plain(value), ensure_ascii=False)


def plain(value: Any) -> Any:
    """A config (or a part of it) as plain dictionaries and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return value


def rows_in_force(config: Config) -> list[ValueRow]:
    """Every value, lists of tables numbered from 0."""
    return list(_in_force(config, ""))


def _in_force(part: Any, prefix: str) -> Iterator[ValueRow]:
    for field in dataclasses.fields(part):
        value, key = getattr(part, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _in_force(value, f"{key}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for number, one in enumerate(value):
                yield from _in_force(one, f"{key}[{number}].")
        else:
            yield ValueRow(key, _spell(value) or "-", is_required(field) or value != default_of(field))


def setting_table(rows: list[SettingRow]) -> Table[SettingRow]:
    return Table("setting", SETTING_COLUMNS, rows, lambda r: r.key)


def value_table(rows: list[ValueRow]) -> Table[ValueRow]:
    return Table("setting", VALUE_COLUMNS, rows, lambda r: r.key)
