"""No command prints text of hosts, tenants or files as it came: tables go through print_table, the rest through print_text."""

import ast
import logging
from pathlib import Path

import pytest

import fleetctl.cli
from fleetctl.cli.engine import log_formatter
from fleetctl.cli.output import print_text

EVIL = "up\x1b]0;owned\x07\x9b31m \u202egnp"
MAKES_TEXT = {"plan_lines", "action_line", "lease_line", "quote_lines", "give_back", "lines", "result_json", "dumps"}


def called(node: ast.AST) -> set[str]:
    """Names of the functions and methods called anywhere inside."""
    calls = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
    return {f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, ast.Name | ast.Attribute)}


def test_lines_made_of_records_are_not_printed_raw() -> None:
    raw = []
    for path in Path(fleetctl.cli.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                inside = called(node) - {"print"}
                if inside & MAKES_TEXT and not inside & {"clean", "clean_lines"}:
                    raw.append(f"{path.name}:{node.lineno}")
    assert raw == []


def test_print_text_spells_out_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(f"first\n{EVIL}")
    assert capsys.readouterr().out == "first\nup\\x1b]0;owned\\x07\\x9b31m \\u202egnp\n"


def test_the_log_of_the_engine_is_safe_to_read() -> None:
    record = logging.LogRecord("x", logging.WARNING, "f.py", 1, "%s says %s", ("n1", EVIL), None)
    line = log_formatter().format(record)
    assert line.isprintable()
    assert "n1 says up\\x1b" in line
