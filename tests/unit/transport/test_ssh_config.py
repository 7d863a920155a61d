import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetctl.config.schema import Ssh
from fleetctl.errors import ConfigError
from fleetctl.model.host import Host
from fleetctl.transport.resolve import Resolver
from fleetctl.transport.ssh_config import SshConfig
from fleetctl.transport.target import Hop, Target


def load(tmp_path: Path, text: str) -> SshConfig:
    path = tmp_path / "config"
    path.write_text(text)
    return SshConfig.load(path)


def target(tmp_path: Path, text: str, host: Host) -> Target:
    path = tmp_path / "config"
    path.write_text(text)
    ssh = Ssh(config=str(path), known_hosts="~/.ssh/known_hosts")
    return Resolver(ssh, SshConfig.load(path)).host(host)


def test_first_value_wins_and_files_add_up(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        IdentityFile /global
        Host gpu001
          Port 2201
          IdentityFile /own
        Host gpu*
          Port 2200
          User ops
          IdentityFile /gpu
        """,
    )
    answer = config.lookup("gpu001")
    assert answer.options["port"] == ["2201"]
    assert answer.options["identityfile"] == ["/global", "/own", "/gpu"]
    assert config.lookup("gpu002").options["port"] == ["2200"]
    assert "port" not in config.lookup("cpu1").options


def test_negated_patterns_and_match(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        Host gpu* !gpu9*
          Port 1
        Match host gpu9?.lan user ops
          Port 2
        Match originalhost gpu91 !user ops
          Port 3
        """,
    )
    assert config.lookup("gpu10").options["port"] == ["1"]
    assert "port" not in config.lookup("gpu91", user="ops").options
    assert config.lookup("gpu91", user="root").options["port"] == ["3"]
    assert config.lookup("gpu92.lan", user="ops").options["port"] == ["2"]


def test_match_host_sees_the_hostname_set_before(tmp_path: Path) -> None:
    config = load(
        tmp_path, "Host a\n  HostName %h.lan\nMatch host a.lan\n  Port 7\nMatch originalhost a.lan\n  Port 8\n"
    )
    assert config.lookup("a").options["port"] == ["7"]


def test_match_final_is_a_second_pass(tmp_path: Path) -> None:
    config = load(tmp_path, "Match final host a.lan\n  Port 7\nHost a\n  HostName a.lan\nHost *\n  User ops\n")
    assert config.lookup("a").options["port"] == ["7"]


def test_match_exec_runs_once_per_command(tmp_path: Path) -> None:
    ran: list[str] = []

    def run(command: str) -> bool:
        ran.append(command)
        return command.startswith("test gpu1")

    path = tmp_path / "config"
    path.write_text('Match exec "test %n = gpu1 -a %h = gpu1"\n  Port 7\n')
    config = SshConfig.load(path, run=run)
    assert [config.lookup(n).first("port") for n in ("gpu1", "gpu1", "gpu2")] == ["7", "7", None]
    assert ran == ["test gpu1 = gpu1 -a gpu1 = gpu1", "test gpu2 = gpu1 -a gpu2 = gpu1"]


def test_include_belongs_to_its_block(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.conf").write_text("User included\nHost b\n  Port 9\n")
    config = load(tmp_path, f"Host a\n  Include {tmp_path}/more/*.conf\n  Port 5\nHost *\n  User last\n")
    assert config.lookup("a").options == {"user": ["included"], "port": ["5"]}
    # Host b stands inside of Host a, so it never holds for b.
    assert config.lookup("b").options == {"user": ["last"]}


def test_include_in_a_circle(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nested more than"):
        load(tmp_path, f"Include {tmp_path}/config\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Port=22", ["22"]),
        ("Port = 22", ["22"]),
        ('User "first last"', ["first last"]),
        ("User ops # comment", ["ops"]),
        ("user\tops", ["ops"]),
    ],
)
def test_ways_to_write_a_line(tmp_path: Path, line: str, words: list[str]) -> None:
    assert next(iter(load(tmp_path, line).lookup("x").options.values())) == words


@pytest.mark.parametrize("text", ["Port\n", 'User "open\n', "Match colour red\n", "Match user\n", "Host\n"])
def test_mistakes_are_placed(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"config:2: "):
        load(tmp_path, "User ops\n" + text)


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert SshConfig.load(tmp_path / "none").lookup("a").options == {}


def test_names_are_found_without_trying_every_block(tmp_path: Path) -> None:
    text = "".join(f"Host gpu{n:05}\n  HostName 10.0.{n // 250}.{n % 250}\n" for n in range(5000))
    config = load(tmp_path, text + "Host *\n  User ops\n")
    assert len(config._tried) == 1
    assert config.lookup("gpu04999").options == {"hostname": ["10.0.19.249"], "user": ["ops"]}


def test_fleet_file_comes_before_the_ssh_config(tmp_path: Path) -> None:
    text = "Host gpu1\n  HostName 10.0.0.1\n  Port 2222\n  User them\n  ProxyJump bastion\n"
    ours = target(tmp_path, text, Host("gpu1", "s", address="10.9.9.9", port=22, user="us", jump="other"))
    assert (ours.hostname, ours.port, ours.user, ours.jumps) == ("10.9.9.9", 22, "us", (Hop("other"),))
    theirs = target(tmp_path, text, Host("gpu1", "s"))
    assert (theirs.hostname, theirs.port, theirs.user, theirs.jumps) == ("10.0.0.1", 2222, "them", (Hop("bastion"),))


def test_a_jump_host_of_the_site_does_not_jump_through_itself(tmp_path: Path) -> None:
    assert target(tmp_path, "", Host("bastion", "s", jump="bastion")).jumps == ()


def test_jump_or_command_whichever_comes_first(tmp_path: Path) -> None:
    jump = target(tmp_path, "Host *\n  ProxyJump b\n  ProxyCommand nc %h %p\n", Host("a", "s"))
    assert (jump.jumps, jump.proxy_command) == ((Hop("b"),), None)
    command = target(tmp_path, "Host *\n  ProxyCommand nc -X 5 %h %p # x\n  ProxyJump b\n", Host("a", "s"))
    assert (command.jumps, command.proxy_command) == ((), "nc -X 5 a 22 # x")
    neither = target(tmp_path, "Host a\n  ProxyJump none\nHost *\n  ProxyJump b\n", Host("a", "s"))
    assert (neither.jumps, neither.proxy_command) == ((), None)


@pytest.mark.parametrize("name", ["a;id", "$(id)", "`id`", "a b", "-oProxyCommand=id", "a|id", "a\nid", "a&id"])
def test_a_name_that_a_shell_would_obey_never_reaches_one(tmp_path: Path, name: str) -> None:
    host = Host("a", "s", address=name)
    with pytest.raises(ConfigError, match="would be obeyed by the shell"):
        target(tmp_path, "Host *\n  ProxyCommand nc %h %p\n", host)
    assert target(tmp_path, "Host *\n  ProxyCommand nc bastion %p\n", host).proxy_command == "nc bastion 22"
    if " " not in name and "\n" not in name:
        with pytest.raises(ConfigError, match="Match exec"):
            target(tmp_path, f'Host *\n  HostName {name}\nMatch exec "test %h"\n  Port 7\n', Host("a", "s"))


@pytest.mark.parametrize("name", ["gpu-1.example", "10.0.0.1", "fe80::1%eth0", "fd00::1", "a_b"])
def test_names_as_they_are_used_reach_the_proxy_command(tmp_path: Path, name: str) -> None:
    found = target(tmp_path, "Host *\n  ProxyCommand nc %h %p\n", Host("a", "s", address=name))
    assert found.proxy_command == f"nc {name} 22"


def test_tokens_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/keys")
    found = target(tmp_path, "IdentityFile ${KEYS}/%n-%r-%%\nUser ops\nIdentityAgent none\n", Host("a", "s"))
    assert found.identity_files == ("/keys/a-ops-%",)
    assert found.agent is None
    with pytest.raises(ConfigError, match="config:1: the environment has no NOSUCHVAR"):
        target(tmp_path, "IdentityFile ${NOSUCHVAR}/x\n", Host("a", "s"))
    with pytest.raises(ConfigError, match="config:1: %q is not known"):
        target(tmp_path, "IdentityFile %q\n", Host("a", "s"))


def test_wrong_numbers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config:1: '0' is not a port"):
        target(tmp_path, "Port 0\n", Host("a", "s"))
    with pytest.raises(ConfigError, match="config:1: 'soon' is not a number"):
        target(tmp_path, "ConnectTimeout soon\n", Host("a", "s"))


NAMES = st.sampled_from(["a", "b", "ab", "ba", "a.lan", "gpu1"])
PATTERNS = st.sampled_from(["a", "b", "a*", "*b", "?", "*", "!a", "!*b", "gpu1", "*.lan", "??"])
SETTINGS = st.sampled_from(
    [
        "Port 1001",
        "Port 1002",
        "User u1",
        "User u2",
        "HostName h1.lan",
        "HostName %h.x",
        "IdentityFile /k1",
        "IdentityFile /k2",
    ]
)
HEADS = st.one_of(
    st.lists(PATTERNS, min_size=1, max_size=3).map(lambda p: "Host " + " ".join(p)),
    st.tuples(st.sampled_from(["host", "originalhost", "user"]), PATTERNS).map(lambda t: f"Match {t[0]} {t[1]}"),
    st.just("Match all"),
)
BLOCKS = st.lists(st.tuples(HEADS, st.lists(SETTINGS, max_size=3)), max_size=5)


@pytest.mark.peers
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=BLOCKS, name=NAMES)
def test_agrees_with_ssh(tmp_path: Path, blocks: list[tuple[str, list[str]]], name: str) -> None:
    """OpenSSH itself says what a config means: `ssh -G`."""
    path = tmp_path / "config"
    path.write_text("".join(head + "\n" + "".join(f"  {line}\n" for line in lines) for head, lines in blocks))
    printed = subprocess.run(["ssh", "-G", "-F", str(path), name], capture_output=True, text=True, check=True).stdout
    theirs: dict[str, list[str]] = {}
    for line in printed.splitlines():
        keyword, _, value = line.partition(" ")
        theirs.setdefault(keyword, []).append(value)
    ours = Resolver(Ssh(config=str(path)), SshConfig.load(path)).host(Host(name, "s"))
    assert (ours.hostname, str(ours.port), ours.user) == (theirs["hostname"][0], theirs["port"][0], theirs["user"][0])
    if ours.explicit_keys:
        assert list(ours.identity_files) == [os.path.expanduser(p) for p in theirs["identityfile"]]
