"""Which hosts exist, where they stand, and which of them a node set names."""

import pytest
from ClusterShell.NodeSet import NodeSet
from ClusterShell.NodeUtils import GroupResolver, GroupSource
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.config import parse_config
from fleetctl.errors import ConfigError, NotFoundError, UsageError
from fleetctl.inventory import Inventory, build_inventory, expand, fold

FLEET = """
[[sites]]
name = "lingang"
jump = "bastion"
[[halls]]
name = "a"
site = "lingang"
[[hosts]]
nodes = "gpu[001-016]"
site = "lingang"
address = "10.1.0.{number}"
cards = 8
[[racks]]
name = "r12"
site = "lingang"
hall = "a"
nodes = "gpu[001-008]"
[[pools]]
name = "train"
nodes = "gpu[005-016]"
[[groups]]
name = "lemons"
nodes = "@r12&@train"
"""


def inventory(text: str = FLEET) -> Inventory:
    return build_inventory(parse_config(text.encode()))


def test_a_host_knows_its_place() -> None:
    host = inventory().hosts["gpu006"]
    assert (host.site, host.hall, host.rack, host.pools) == ("lingang", "a", "r12", ("train",))
    assert (host.address, host.jump, host.cards) == ("10.1.0.6", "bastion", 8)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("@r12", "gpu[001-008]"),
        ("@r12!gpu003", "gpu[001-002,004-008]"),
        ("@r12&@train", "gpu[005-008]"),
        ("@lemons", "gpu[005-008]"),
        ("@r12^@train", "gpu[001-004,009-016]"),
        ("gpu[001-015/7]", "gpu[001,008,015]"),
        ("gpu001,gpu002", "gpu[001-002]"),
        ("@*", "gpu[001-016]"),
        ("@lingang", "gpu[001-016]"),
        ("@a", "gpu[001-008]"),
    ],
)
def test_node_sets(text: str, folded: str) -> None:
    found = inventory()
    assert found.fold(host.name for host in found.select(text)) == folded


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("gpu[1-99999999999]", UsageError, "99,999,999,999"),
        ("gpu[0-9999]x[0-9999]", UsageError, "100,000,000"),
        ("gpu[1", UsageError, "not a node set"),
        ("@nope", NotFoundError, "@nope"),
        ("@/", UsageError, "an @ without"),
        ("gpu001,@@r12", UsageError, "an @ without"),
        ("gpu099", NotFoundError, "gpu099"),
        ("a" * 2_000_000, UsageError, "too long"),
    ],
)
def test_what_cannot_be_selected_is_refused(text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("[", r"\[")):
        inventory().select(text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('[[pools]]\nname = "train"', '[[pools]]\nname = "r12"', "another group has this name"),
        ("gpu[005-016]", "gpu[005-020]", r"gpu\[017-020\] in no"),
        ('site = "lingang"\naddress', 'site = "lingnag"\naddress', "did you mean 'lingang'"),
        ("10.1.0.{number}", "10.1.0.{nmbr}", "no pattern"),
        (
            '[[groups]]\nname = "lemons"',
            '[[hosts]]\nsite = "lingang"\nnodes = "gpu003"\n[[groups]]\nname = "x"',
            "gpu003 named in",
        ),
    ],
)
def test_contradictions_are_named(old: str, new: str, words: str) -> None:
    assert old in FLEET
    with pytest.raises(ConfigError, match=words):
        inventory(FLEET.replace(old, new))


NO_GROUPS = GroupResolver(GroupSource("none"))  # by itself it would read the groups of the machine it is on
names = st.from_regex(r"\A(gpu|npu-)[0-9]{1,4}\Z")


@given(st.sets(names, max_size=40))
def test_folding_and_expanding_are_inverse(some: set[str]) -> None:
    assert set(expand(fold(some))) == some if some else fold(some) == ""


@given(st.text(alphabet="gpu0123456789[]-/,!&^@ rk", max_size=30))
def test_any_text_is_a_node_set_or_refused_and_agrees_with_clustershell(text: str) -> None:
    try:
        found = expand(text, {}, limit=10_000)
    except (UsageError, NotFoundError):
        return
    assert found == [str(name) for name in NodeSet(text, resolver=NO_GROUPS)]


@given(
    st.lists(
        st.one_of(
            st.from_regex(r"(gpu|n|r[0-9]{1,2}n|a-)[0-9]{1,4}", fullmatch=True),
            st.sampled_from(["login", "a.b", "x1y", "n1a2", "gpu1-ib0"]),
        ),
        max_size=25,
    )
)
def test_folding_is_what_clustershell_folds(names: list[str]) -> None:
    assert fold(names) == str(NodeSet.fromlist(sorted(set(names))))
