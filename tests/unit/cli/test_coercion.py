"""Plain words are read without pydantic, and read alike."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from fleetctl.cli import coercion


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


app = typer.Typer()
seen: dict[str, Any] = {}


@app.command()
def paint(
    names: Annotated[list[str] | None, typer.Argument()] = None,
    colour: Annotated[Colour, typer.Option()] = Colour.RED,
    times: Annotated[int, typer.Option(min=1, max=9)] = 1,
    share: Annotated[float, typer.Option()] = 0.5,
    to: Annotated[Path | None, typer.Option()] = None,
    loud: Annotated[bool, typer.Option()] = False,
) -> None:
    seen.update(names=names, colour=colour, times=times, share=share, to=to, loud=loud)


def call(*words: str) -> dict[str, Any]:
    coercion.install()
    seen.clear()
    typer.main.get_command(app).main(list(words), standalone_mode=False)
    return dict(seen)


def test_reads_every_plain_kind() -> None:
    got = call("a", "b", "--colour", "blue", "--times", "3", "--share", "0.25", "--to", "x/y", "--loud")
    assert got == {
        "names": ["a", "b"],
        "colour": Colour.BLUE,
        "times": 3,
        "share": 0.25,
        "to": Path("x/y"),
        "loud": True,
    }


def test_defaults() -> None:
    got = call()
    assert (got["colour"], got["times"], got["to"], got["loud"]) == (Colour.RED, 1, None, False)
    assert not got["names"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--colour", "green"], "not one of 'red', 'blue'"),
        (["--times", "0"], "not in the range 1<=x<=9"),
        (["--times", "many"], "not a whole number"),
        (["--share", "half"], "not a number"),
    ],
)
def test_says_what_would_do(words: list[str], text: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        call(*words)
    assert text in caught.value.format_message()
    assert caught.value.exit_code == 2


def test_no_command_pays_for_pydantic() -> None:
    code = (
        "import sys; from fleetctl.cli.app import run;"
        "run(['nodes', 'x', '-n', '3', '-o', 'json', '-C', 'none.toml']);"
        "run(['-C', 'none.toml', 'status', '-o', 'json']); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "False\n"
