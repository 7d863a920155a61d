"""A health report as text, Markdown, HTML or JSON data."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from fleetctl.i18n import _, language, word
from fleetctl.model.states import Health
from fleetctl.reports.health import HealthReport, Line, Section, headline
from fleetctl.views.units import iso_moment, show_moment

_MARKS = {Health.CRIT: "!!", Health.WARN: "! ", Health.UNKNOWN: "? ", Health.OK: "  ", None: "  "}
_COLOURS = {Health.CRIT: "#b00020", Health.WARN: "#8a5a00", Health.UNKNOWN: "#6a3d9a", Health.OK: "#1b6e3c"}


def _since(report: HealthReport) -> str:
    if report.since_at is None:
        return _("this is the first report")
    return _("compared with {moment}").format(moment=show_moment(report.since_at))


def _more(section: Section) -> list[str]:
    return [_("... and {n} more").format(n=section.more)] if section.more else []


def as_text(report: HealthReport) -> str:
    """For terminals and mail: marks instead of colours."""
    lines = [headline(report), _since(report)]
    for section in report.sections:
        lines += ["", section.title]
        lines += [f"  {_MARKS[line.severity]} {line.text}" for line in section.lines]
        lines += [f"     {more}" for more in _more(section)]
    return "\n".join(lines) + "\n"


_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


def as_markdown(report: HealthReport) -> str:
    """For chat and wikis; what hosts say is escaped."""
    lines = [f"# {_escape(headline(report))}", "", _escape(_since(report))]
    for section in report.sections:
        lines += ["", f"## {_escape(section.title)}", ""]
        lines += [f"- {_strong(line)}{_escape(line.text)}" for line in section.lines]
        lines += [f"- {_escape(more)}" for more in _more(section)]
    return "\n".join(lines) + "\n"


def _strong(line: Line) -> str:
    return f"**{word(line.severity.value)}** " if line.severity in (Health.CRIT, Health.WARN, Health.UNKNOWN) else ""


def _escape(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def as_html(report: HealthReport) -> str:
    """One page without scripts, pictures or links to anywhere; what hosts say is escaped."""
    title = html.escape(headline(report))
    body = [f"<h1>{title}</h1>", f"<p>{html.escape(_since(report))}</p>"]
    for section in report.sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>\n<ul>")
        body += [f"<li>{_html_word(line)}{html.escape(line.text)}</li>" for line in section.lines]
        body += [f"<li>{html.escape(more)}</li>" for more in _more(section)]
        body.append("</ul>")
    lang = "zh-CN" if language() == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        "<style>body{font:14px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "ul{padding-left:1.2em}h2{font-size:1.1em}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _html_word(line: Line) -> str:
    if line.severity is None:
        return ""
    return f'<b style="color:{_COLOURS[line.severity]}">{html.escape(word(line.severity.value))}</b> '


def as_data(report: HealthReport) -> dict[str, Any]:
    """For programs: keys are never translated; states stay keys."""
    return {
        "fleet": report.fleet,
        "at": iso_moment(report.at),
        "since_at": iso_moment(report.since_at),
        "status": report.status.value,
        "changed": report.changed,
        "sections": {
            s.name: [{"severity": line.severity.value if line.severity else None, **line.data} for line in s.lines]
            for s in report.sections
        },
        "left_out": {s.name: s.more for s in report.sections if s.more},
    }


RENDERERS: dict[str, Callable[[HealthReport], str]] = {"text": as_text, "markdown": as_markdown, "html": as_html}
