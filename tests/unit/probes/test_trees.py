"""Trees that a hostile host prints: entities, endless nesting and huge names cost no memory to speak of."""

import tracemalloc
from xml.etree import ElementTree

import pytest

from fleetctl.probes.trees import MAX_PATH, flat_xml, lines_of_tree, paths_of_tree, read_json, read_xml

LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><log><gpu><name>&b;</name></gpu></log>'
DEEP, MANY = 60_000, 30_000
MOST_BYTES = 64 << 20


def test_entities_are_refused() -> None:
    assert read_xml(LAUGHS, "gpu") == ({}, [], "XML with entities is refused")


@pytest.mark.parametrize(
    "inner",
    [
        "<a>" * DEEP + "x" + "</a>" * DEEP,
        f"<{'n' * 100_000}>" + "".join(f"<b{i}>x</b{i}>" for i in range(MANY)) + f"</{'n' * 100_000}>",
    ],
    ids=["deep", "long-name"],
)
def test_xml_that_would_grow_is_cut(inner: str) -> None:
    _, (card, *_), problem = read_xml(f"<log><gpu><name>H100</name>{inner}</gpu></log>", "gpu")
    assert problem == ""
    tracemalloc.start()
    try:
        leaves = flat_xml(card)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert leaves == {"name": "H100"}


def test_a_tree_of_headings_that_would_grow_is_cut() -> None:
    text = f"Name : H100\n{'h' * 100_000}\n" + "".join(f" k{i} : 1\n" for i in range(MANY))
    tracemalloc.start()
    try:
        paths = paths_of_tree(list(lines_of_tree(text)))
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert paths == {"Name": "H100"}


def test_paths_up_to_the_limit_stay() -> None:
    name = "n" * (MAX_PATH - 2)
    assert flat_xml(ElementTree.fromstring(f"<r><{name}><b>x</b></{name}></r>")) == {f"{name}/b": "x"}
    assert paths_of_tree(list(lines_of_tree(f"{name}\n b : x\n"))) == {f"{name}/b": "x"}
    assert paths_of_tree(list(lines_of_tree(f"{name}n\n b : x\n"))) == {}


@pytest.mark.parametrize("text", ["[" * 500_000, '{"a":' * 100_000], ids=["lists", "objects"])
def test_json_nested_without_end_is_a_problem_not_a_crash(text: str) -> None:
    assert read_json(text) == (None, "JSON: nested too deep")
