"""A long list read piece by piece says what the whole answer says, however it is cut, laid out, or spoilt."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl_slurm import json_stream
from fleetctl_slurm.json_stream import MAX_ELEMENT, Elements

FIELDS = ("name", "state", "nodes")
LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=8)
    | st.sampled_from(["\n    }", '"jobs": [', "]}"])
)
VALUE = st.recursive(LEAF, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3))
JOBS = st.lists(st.dictionaries(st.sampled_from([*FIELDS, "other", "more"]), VALUE, max_size=4), max_size=4)


def read(text: bytes, sizes: Iterator[int] | int) -> tuple[list[dict[str, Any]], bytes]:
    found: Elements[dict[str, Any]] = Elements("jobs", FIELDS, dict)
    at = 0
    while at < len(text):
        size = sizes if isinstance(sizes, int) else next(sizes)
        found.feed(text[at : at + size])
        at += size
    return found.kept, found.rest


def only(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in job.items() if k in FIELDS} for job in jobs]


@pytest.fixture(params=["msgspec", "json"], autouse=True, scope="module")
def decoder(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the extra `fast`, and without."""
    if request.param == "msgspec":
        pytest.importorskip("msgspec")
        yield
        return
    patch = pytest.MonkeyPatch()
    patch.setattr(json_stream, "_typed", lambda fields: lambda text: json_stream._only(json.loads(text), fields))
    yield
    patch.undo()


@settings(max_examples=40)
@given(JOBS, st.sampled_from([None, 1, 2, 4]), st.booleans(), st.integers(1, 300))
def test_pieces_say_what_the_whole_says(
    jobs: list[dict[str, Any]], indent: int | None, ascii_only: bool, size: int
) -> None:
    text = json.dumps({"jobs": jobs, "errors": [], "meta": {"a": "]"}}, indent=indent, ensure_ascii=ascii_only)
    kept, rest = read(text.encode("utf-8", "surrogatepass"), size)
    assert kept == only(jobs)
    assert json.loads(rest) == {"jobs": [], "errors": [], "meta": {"a": "]"}}


@settings(max_examples=40)
@given(JOBS, st.integers(0, 500), st.integers(1, 100))
def test_half_an_answer_is_never_a_whole_one(jobs: list[dict[str, Any]], cut: int, size: int) -> None:
    text = json.dumps({"jobs": jobs, "errors": []}, indent=2).encode()
    half = text[: min(cut, len(text) - 1)]
    kept, rest = read(half, size)
    assert kept == only(jobs)[: len(kept)]
    with pytest.raises(json.JSONDecodeError):
        json.loads(rest)


@settings(max_examples=40)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_raises_nothing_else(text: bytes, size: int) -> None:
    for before in (b"", b'{"jobs": [', b'{"jobs": [\n    {"name": 1\n    },\n'):
        try:
            read(before + text, size)
        except ValueError:
            pass


@pytest.mark.parametrize("piece", [b"x", b"{", b'"', b"[{"])
def test_what_never_ends_is_refused_before_it_fills_memory(piece: bytes) -> None:
    found: Elements[object] = Elements("jobs", FIELDS, dict)
    found.feed(b'{"jobs": [')
    with pytest.raises(ValueError, match="too"):
        found.feed(piece * MAX_ELEMENT + b" ")


def test_memory_does_not_grow_with_what_is_not_asked_for() -> None:
    job = json.dumps({"name": "a", "state": ["RUNNING"], **{f"f{n}": "x" * 50 for n in range(150)}}, indent=2)
    line = job.replace("\n", "\n    ").encode()
    tracemalloc.start()
    try:
        found: Elements[None] = Elements("jobs", FIELDS, lambda one: None)
        found.feed(b'{\n  "jobs": [\n    ')
        for _ in range(500):
            found.feed(line + b",\n    ")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20 * len(line), "never more than a few of them"
