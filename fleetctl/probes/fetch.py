"""Exporters that already run on a host, read through the connection we have: a shell line that fetches one page."""

from __future__ import annotations


def fetch(url: str, *, limit_s: int = 4) -> str:
    """POSIX sh that prints a page of this host, by whatever can fetch one."""
    return (
        f"if command -v curl >/dev/null 2>&1; then curl -fsS -m {limit_s} {url}; "
        f"elif command -v wget >/dev/null 2>&1; then wget -q -T {limit_s} -t 1 -O - {url}; "
        f"else python3 -c 'import sys,urllib.request as u; "
        f'sys.stdout.write(u.urlopen("{url}",timeout={limit_s}).read(8388608).decode("utf-8","replace"))\'; fi'
    )


def serves(url: str, word: str, *, unless: str = "") -> str:
    """POSIX sh that exits 0 when the page holds a word; unless: a tool that is asked instead where it is installed."""
    skip = f"command -v {unless} >/dev/null 2>&1 && exit 1; " if unless else ""
    return f"{skip}{{ {fetch(url, limit_s=2)}; }} 2>/dev/null | grep -q {word}"
