"""The themes: dark and light in true colour, and one that uses only the sixteen colours the terminal has."""

from __future__ import annotations

from textual.theme import Theme

_HEAT_DARK = {
    "heat-ink": "#0d1117", "heat-0": "#1c2a3a", "heat-1": "#1f4a5c", "heat-2": "#23706f", "heat-3": "#3d9470",
    "heat-4": "#8bb65a", "heat-5": "#e3c04f", "heat-6": "#ee8a43", "heat-7": "#f0524f",
}  # fmt: skip
_HEAT_LIGHT = {
    "heat-ink": "#ffffff", "heat-0": "#dce9f2", "heat-1": "#b4d7e2", "heat-2": "#86c5c3", "heat-3": "#5fae8d",
    "heat-4": "#98ab3e", "heat-5": "#d3a017", "heat-6": "#d9691c", "heat-7": "#c62b30",
}  # fmt: skip
_HEAT_ANSI = {
    "heat-ink": "ansi_black", "heat-0": "ansi_blue", "heat-1": "ansi_blue", "heat-2": "ansi_cyan",
    "heat-3": "ansi_cyan", "heat-4": "ansi_green", "heat-5": "ansi_yellow", "heat-6": "ansi_bright_yellow",
    "heat-7": "ansi_red",
}  # fmt: skip

DARK = Theme(
    name="fleetctl-dark",
    primary="#5cb3ff", secondary="#7d8ea3", accent="#4fd1c5", success="#6cc788", warning="#e8b94f", error="#ff6b6b",
    foreground="#d7dee7", background="#0d1117", surface="#121820", panel="#18202a", dark=True,
    variables={
        "blind": "#c594e8", "line": "#2b3645", "head": "#151d27", "cursor": "#1d3d5c", "cursor-off": "#1a2430",
        "text-muted": "#8593a5", "bar": "#151d27",
        "scrollbar": "#2b3645", "scrollbar-background": "#0d1117", "scrollbar-hover": "#4a5b70",
        "scrollbar-active": "#4fd1c5", "scrollbar-background-hover": "#0d1117", "scrollbar-background-active": "#0d1117",
        "scrollbar-corner-color": "#0d1117", **_HEAT_DARK,
    },
)  # fmt: skip

LIGHT = Theme(
    name="fleetctl-light",
    primary="#1565c0", secondary="#5c6b7d", accent="#00796b", success="#2e7d32", warning="#a15c00", error="#c62828",
    foreground="#1b242f", background="#fbfcfd", surface="#f3f5f8", panel="#e9edf2", dark=False,
    variables={
        "blind": "#7b3fa0", "line": "#c9d1db", "head": "#e9edf2", "cursor": "#cfe3f7", "cursor-off": "#e4ebf2",
        "text-muted": "#5d6a79", "bar": "#e9edf2",
        "scrollbar": "#c9d1db", "scrollbar-background": "#fbfcfd", "scrollbar-hover": "#9aa7b5",
        "scrollbar-active": "#00796b", "scrollbar-background-hover": "#fbfcfd", "scrollbar-background-active": "#fbfcfd",
        "scrollbar-corner-color": "#fbfcfd", **_HEAT_LIGHT,
    },
)  # fmt: skip

SIXTEEN = Theme(
    name="fleetctl-16",
    ansi=True,
    primary="ansi_blue", secondary="ansi_default", accent="ansi_cyan", success="ansi_green", warning="ansi_yellow",
    error="ansi_red", foreground="ansi_default", background="ansi_default", surface="ansi_default",
    panel="ansi_default", boost="ansi_default", dark=True,
    variables={
        "blind": "ansi_magenta", "line": "ansi_default", "head": "ansi_default", "cursor": "ansi_blue",
        "cursor-off": "ansi_default", "bar": "ansi_default", "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white", "input-cursor-text-style": "reverse", **_HEAT_ANSI,
    },
)  # fmt: skip
