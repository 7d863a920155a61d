"""Marks around every part: what is cut, what a banner adds, what an account's settings would change."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl_slurm.script import Part, script, split

NONCE = "0123456789abcdef"


def run(text: str, **env: str) -> dict[str, Part]:
    done = subprocess.run(
        ["sh", "-c", text], capture_output=True, text=True, timeout=600, env={"PATH": "/usr/bin:/bin", **env}
    )
    return split(NONCE, done.stdout, done.stderr)


def test_parts_with_their_status() -> None:
    parts = run(script({"one": ("echo", "a b"), "two": ("sh", "-c", "echo no >&2; exit 3")}, NONCE, timeout_s=60))
    assert parts == {"one": Part("a b\n", "", 0), "two": Part("", "no", 3)}


def test_the_first_ends_it_all_when_it_fails() -> None:
    parts = run(script({"ping": ("false",), "two": ("echo", "x")}, NONCE, timeout_s=60, first="ping"))
    assert parts == {"ping": Part("", "", 1)}


def test_a_command_that_hangs_costs_its_own_limit_only() -> None:
    parts = run(script({"one": ("sleep", "30"), "two": ("echo", "x")}, NONCE, timeout_s=0.2))
    assert parts["one"].timed_out
    assert parts["two"].out == "x\n"


def test_a_missing_tool_is_127() -> None:
    assert run(script({"one": ("no-such-tool",)}, NONCE, timeout_s=60))["one"].status == 127


def test_settings_of_the_account_do_not_reach_the_tools() -> None:
    asked = ("sh", "-c", 'echo "$SINFO_FORMAT$SQUEUE_STATES$SLURM_CLUSTERS $TZ $SLURM_CONF"')
    text = script({"one": asked}, NONCE, timeout_s=60, conf="/etc/it's.conf")
    parts = run(text, SINFO_FORMAT="%x", SQUEUE_STATES="all", SLURM_CLUSTERS="other", TZ="Asia/Shanghai")
    assert parts["one"].out == " UTC /etc/it's.conf\n"


def test_words_are_quoted() -> None:
    assert run(script({"one": ("echo", "$(id); '\"")}, NONCE, timeout_s=60))["one"].out == "$(id); '\"\n"


def test_a_nonce_is_hex() -> None:
    with pytest.raises(ValueError, match="nonce"):
        script({}, "$(id)", timeout_s=1)


WHOLE = f"Welcome!\n{NONCE} begin one\na\nb\n{NONCE} end one 0\n{NONCE} begin two\nc\n{NONCE} end two 1\n"


@given(st.integers(min_value=0, max_value=len(WHOLE)))
def test_a_cut_answer_has_no_status_for_what_is_cut(at: int) -> None:
    for name, part in split(NONCE, WHOLE[:at], "").items():
        whole = split(NONCE, WHOLE, "")[name]
        assert part == whole or part.status is None
        assert part.out == whole.out or part.status is None


@given(st.text(), st.text())
def test_garbage_is_no_part(out: str, err: str) -> None:
    assert split(NONCE, out, err) == {}
