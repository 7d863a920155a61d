from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.probe import Outcome
from fleetctl.transport.base import STDERR_TAIL_BYTES
from fleetctl.transport.capture import Capture, Tail, finish
from fleetctl.transport.failures import printable

PIECES = st.lists(st.tuples(st.binary(max_size=50), st.booleans()))


@given(PIECES, st.integers(1, 300), st.integers(0, 9))
def test_never_more_than_allowed_and_told_once(pieces: list[tuple[bytes, bool]], limit: int, before: int) -> None:
    told: list[int] = []
    capture = Capture(limit)
    for data, is_stderr in pieces[:before]:  # a child may print before anybody knows how to end it
        capture.add(data, is_stderr)
    capture.when_full(lambda: told.append(1))
    for data, is_stderr in pieces[before:]:
        capture.add(data, is_stderr)
    total = sum(len(data) for data, _ in pieces)
    assert len(capture.stdout) + len(capture.stderr) == min(total, limit)
    assert b"".join(d for d, e in pieces if not e).startswith(bytes(capture.stdout))
    assert len(told) == (total > limit)
    assert capture.full == (total > limit)


@given(st.lists(st.binary(max_size=9000)))
def test_the_tail_is_the_end(pieces: list[bytes]) -> None:
    tail = Tail()
    for piece in pieces:
        tail.add(piece)
    assert tail.text == b"".join(pieces)[-STDERR_TAIL_BYTES:].decode("utf-8", "replace")


def test_how_a_command_ended() -> None:
    full = Capture(1)
    full.add(b"ab", False)
    assert finish(full, 0, timed_out=True, lost=True).outcome is Outcome.CUT
    assert finish(Capture(9), None, timed_out=True, lost=True).outcome is Outcome.TIMEOUT
    assert finish(Capture(9), None, timed_out=False, lost=True).outcome is Outcome.LOST
    assert finish(Capture(9), 127, timed_out=False, lost=False).outcome is Outcome.MISSING
    assert finish(Capture(9), 1, timed_out=False, lost=False).exit_status == 1


@given(st.text(max_size=400))
def test_a_strangers_words_are_harmless(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) <= 200
