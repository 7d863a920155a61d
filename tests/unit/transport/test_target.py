import pytest

from fleetctl.errors import ConfigError
from fleetctl.transport.target import Hop, Target, parse_jumps, parse_port


@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("", ()),
        ("none", ()),
        ("bastion", (Hop("bastion"),)),
        ("ops@bastion:2222", (Hop("bastion", "ops", 2222),)),
        ("a, ops@b", (Hop("a"), Hop("b", "ops"))),
        ("ssh://ops@bastion:2222/", (Hop("bastion", "ops", 2222),)),
        ("ops@[fe80::1]:2222", (Hop("fe80::1", "ops", 2222),)),
        ("fe80::1", (Hop("fe80::1"),)),
        ("first@domain@bastion", (Hop("bastion", "first@domain"),)),
    ],
)
def test_jumps(text: str, hops: tuple[Hop, ...]) -> None:
    assert parse_jumps(text, "here") == hops


@pytest.mark.parametrize("text", ["ops@", "bastion:0", "bastion:ssh", "bastion:65536", "bastion:٣"])
def test_wrong_jumps_name_their_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^config:3: "):
        parse_jumps(text, "config:3")


def test_port_bounds() -> None:
    assert parse_port("65535", "x") == 65535
    with pytest.raises(ConfigError):
        parse_port("-1", "x")


def test_names_as_openssh_writes_them() -> None:
    assert Target("a", "GPU1").key_name == "gpu1"
    assert Target("a", "gpu1", 2222).key_name == "[gpu1]:2222"
    assert Target("a", "gpu1", 2222, host_key_alias="Alias").key_name == "alias"


def test_the_command_a_person_would_try() -> None:
    target = Target("a", "gpu1", 2222, "ops", jumps=(Hop("b", "x", 23), Hop("c")))
    assert target.command == "ssh -J x@b:23,c -p 2222 ops@gpu1 true"
