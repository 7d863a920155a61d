"""Recorded answers of a real Slurm, whole, cut, spliced and spoiled. The recordings were made from ../shared/testbed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import ParseError
from fleetctl.model.states import Admin
from fleetctl.scheduler.backend import BackendNode
from fleetctl_slurm.answers import explain_windows, parse_jobs, parse_nodes, parse_reservations

FOLDER = Path(__file__).parents[2] / "fixtures" / "slurm" / "22.05.8"
NONCE = "feedc0de00000001"
NODES, JOBS = (FOLDER / "nodes.txt").read_text(), (FOLDER / "jobs.txt").read_text()
WINDOWS = (FOLDER / "windows.txt").read_text()


def test_each_node_once_with_its_partitions() -> None:
    answer = parse_nodes(NODES, NONCE)
    assert list(answer.nodes) == ["osl-h100-01", "osl-h100-02", "osl-h100-03", "szx-910b-01"]
    assert answer.partitions["all"] == tuple(answer.nodes)
    first, second, third, fourth = answer.nodes.values()
    assert (first.state, first.busy, first.cards, first.cards_used) == (Admin.DRAINING, True, 8, 8)
    assert (first.ours, first.owner, first.reason) == (True, "root", "[fleetctl p-1] hw: fan")
    assert set(first.partitions) == {"osl-h100", "osl", "all"}
    assert (second.ours, second.reason) == (False, 'xid|79, "gpu" 3'), "a reason may hold bars and line ends"
    assert (third.state, third.reason, third.owner, third.held) == (Admin.IN_SERVICE, "", "", False)
    assert fourth.state is Admin.MAINTENANCE


def test_after_a_restart_of_the_controller_nothing_is_called_drained() -> None:
    nodes = parse_nodes((FOLDER / "nodes_after_restart.txt").read_text(), NONCE).nodes
    assert nodes["osl-h100-01"].state is Admin.DRAINING
    assert nodes["szx-910b-01"].state is Admin.IN_SERVICE
    assert {n.busy for n in nodes.values()} == {None, False}


def test_jobs() -> None:
    found, bad = parse_jobs(JOBS, NONCE)
    jobs = list(found.values())
    assert bad == 0
    assert [(j.id, j.state, j.nodes, j.cards) for j in jobs] == [
        ("16", "running", 4, None),
        ("14", "pending", 2, 16),
        ("15_[1-20%1]", "pending", 1, 4),
        ("13", "pending", 1, 4),
    ]
    assert jobs[0].hosts == ("osl-h100-01", "osl-h100-02", "osl-h100-03", "szx-910b-01")
    assert jobs[3].name == "na|me x"
    assert jobs[1].hosts == ()


def test_reservations_explain_maintenance() -> None:
    windows = parse_reservations(WINDOWS)
    assert [(w.name, w.hosts, w.ours) for w in windows] == [
        ("m1", ("szx-910b-01",), False),
        ("fleetctl_r-1", ("osl-h100-01", "osl-h100-02"), True),
    ]
    nodes = explain_windows(parse_nodes(NODES, NONCE).nodes, windows, float(windows[0].start_at or 0) + 1)
    assert nodes["szx-910b-01"].reason == "reservation m1"
    assert nodes["osl-h100-01"].reason.startswith("[fleetctl")


def test_a_name_of_another_pattern_is_renamed() -> None:
    assert "01" in parse_nodes(NODES, NONCE, lambda n: n.removeprefix("osl-h100-")).nodes


@given(st.integers(min_value=1, max_value=len(NODES) - 2))
def test_an_answer_cut_anywhere_is_never_a_smaller_fleet_with_other_states(at: int) -> None:
    """Cut inside a record: refused. Cut between two: the script's own end marks tell (test_script)."""
    whole = parse_nodes(NODES, NONCE).nodes
    try:
        part = parse_nodes(NODES[:at], NONCE).nodes
    except ParseError:
        return
    for host, node in part.items():
        assert (node.state, node.reason, node.word) == (whole[host].state, whole[host].reason, whole[host].word)


@given(st.integers(min_value=0, max_value=len(NODES)), st.text(max_size=60))
def test_spliced_text_never_raises_anything_else(at: int, junk: str) -> None:
    spoiled = NODES[:at] + junk + NODES[at:]
    for parse in (parse_nodes, parse_jobs):
        with contextlib.suppress(ParseError):
            parse(spoiled, NONCE)
    parse_reservations(WINDOWS[:at] + junk + WINDOWS[at:])


@given(st.text(st.characters(blacklist_characters="|"), max_size=200))
def test_a_reason_cannot_forge_a_record(reason: str) -> None:
    """Whoever writes a reason does not know the nonce of the round."""
    forged = f"{reason}|\nszx-910b-01|all|up|idle+drain|||0/0/0/0|root|Unknown|[fleetctl p-9] hw: forged"
    text = f"a|all|up|idle|gpu:8|gpu:0|0/8/0/8|root|Unknown|{forged}|{NONCE}|\n"
    assert list(parse_nodes(text, NONCE).nodes) == ["a"]


def test_a_reason_that_outlives_its_drain_is_no_reason() -> None:
    """24.11 keeps it after `state=resume`; 22.05 clears it."""

    def node(word: str) -> BackendNode:
        text = f"a|all|up|{word}|gpu:8|gpu:0|0/8/0/8|root|2026-11-21T23:42:09|[fleetctl p-1] hw: fan|{NONCE}|\n"
        return parse_nodes(text, NONCE).nodes["a"]

    for word in ("idle", "mixed", "idle+maintenance", "idle+not_responding"):
        assert (node(word).reason, node(word).owner, node(word).ours) == ("", "", False)
    for word in ("idle+drain", "down", "down+not_responding"):
        assert node(word).reason == "[fleetctl p-1] hw: fan"


def test_mostly_unreadable_is_unreadable() -> None:
    with pytest.raises(ParseError, match="records of sinfo"):
        parse_nodes(f"one|two|{NONCE}|\n" * 5, NONCE)
    with pytest.raises(ParseError, match="inside a record"):
        parse_nodes("slurm_load_partitions: Unable to contact slurm controller", NONCE)


def test_texts_are_one_printable_line() -> None:
    text = f"a|all|up|idle+drain|gpu:8|gpu:0|0/8/0/8|root|Unknown|\x1b[31mred\x07 {'x' * 9000}|{NONCE}|\n"
    reason = parse_nodes(text, NONCE).nodes["a"].reason
    assert reason.isprintable()
    assert len(reason) <= 400
