"""Texts that did not travel are put back, and a gap in the memory is never guessed over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.probe import Outcome
from fleetctl.probes import host_loop
from fleetctl.probes.sections import Texts

TEXTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(["x", "yy", "", "z z"]), max_size=5), st.integers(0, 1)),
    max_size=12,
)


def loop_of(*ids: str) -> host_loop.Loop:
    probes = [{"id": name, "command": "true"} for name in ids]
    return host_loop.Loop({"interval": 1, "max_bytes": 4096, "heartbeat": 60, "probes": probes})


@given(TEXTS)
def test_what_the_loop_says_is_what_is_read(said):
    loop, texts = loop_of("a", "b"), Texts()
    for name, lines, status in said:
        text = "\n".join(lines).encode()
        loop.answer(loop.by_id[name], "d", status, 0.01, text, b"why" if status else b"")
        body = texts.read(b"1.5 0" + b"".join(loop.sections))
        loop.sections = []
        (section,) = body.sections
        assert body.unreadable == 0
        assert (section.probe, section.status, section.stdout) == (name, status, text)
        assert section.stderr == (b"why" if status else b"")
        assert section.outcome is Outcome.DONE


def test_same_without_a_memory_is_left_out():
    body = Texts().read(b"1.5 0\x1d3 d 0 12 s\n\x1d4 d 0 1 k9\nrest\x1d5 d 0 1 f\ntext")
    assert body.unreadable == 2
    assert [section.probe for section in body.sections] == ["5"]


@given(st.binary(max_size=300))
def test_garbage_is_counted_not_raised(data):
    texts = Texts()
    texts.read(b"1.0 0\x1d1 d 0 1 f\nabc")
    texts.read(data)
    texts.read(b"1.0 0" + data)


def test_a_host_without_a_clock():
    body = Texts().read(b"- 2")
    assert (body.at, body.skipped) == (None, 2)
