"""The user's SSH config, read once and looked up per host through an index.

OpenSSH and asyncssh read the whole file for every connection: 800 ms per connection for a file of 12,500 hosts. Here
the blocks whose `Host` line holds only plain names are found by name; only those with patterns and `Match` are tried
one by one. What a keyword means is as in ssh_config(5): the first value wins, IdentityFile and CertificateFile add up.
Keywords that make no sense for us (ControlMaster, LocalForward, RequestTTY ...) are passed over.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import merge
from pathlib import Path

from fleetctl.errors import ConfigError

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
MAX_INCLUDE_DEPTH = 16  # as OpenSSH
MATCH_EXEC_TIMEOUT_S = 5.0

_LINE = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)$")
_ADDS_UP = frozenset({"identityfile", "certificatefile"})
_WHOLE_LINE = frozenset({"proxycommand"})
_TOKEN = re.compile(r"%(.)")
_OBEYED = re.compile(r"^-|['`\"$\\;&<>|(){}\s\x00-\x1f\x7f]")  # what a shell or ssh would obey, as OpenSSH 9.6 refuses
_ENV = re.compile(r"\$\{([^}]*)\}")


@lru_cache(maxsize=65536)
def pattern_regex(pattern: str) -> re.Pattern[str]:
    """An OpenSSH pattern: `*` any run, `?` one character, everything else itself."""
    body = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile(body, re.IGNORECASE | re.DOTALL)


def matches_list(name: str, patterns: tuple[str, ...]) -> bool:
    """True when one pattern matches and no negated (`!`) one does."""
    found = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if pattern_regex(pattern[1:] if negated else pattern).fullmatch(name):
            if negated:
                return False
            found = True
    return found


@dataclass(frozen=True, slots=True)
class _Condition:
    """One `Host` line (kind "host-line"), or one criterion of a `Match` line."""

    kind: str
    patterns: tuple[str, ...]
    negated: bool = False


@dataclass(slots=True)
class _Block:
    """Settings under one set of conditions, in the order of the file. `lines`: (keyword, value, place)."""

    conditions: tuple[_Condition, ...]
    lines: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """What the config says about one name: keyword in lower case -> words; `places` says where each came from."""

    options: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def first(self, keyword: str) -> str | None:
        values = self.options.get(keyword)
        return values[0] if values else None

    def is_yes(self, keyword: str) -> bool:
        return (self.first(keyword) or "no").lower() in ("yes", "true")


class SshConfig:
    """All blocks of one config file and what it includes, with an index of plain host names."""

    def __init__(self, run: Callable[[str], bool] | None = None) -> None:
        self._blocks: list[_Block] = []
        self._by_name: dict[str, list[int]] = {}
        self._tried: list[int] = []
        self._has_final = False
        self._exec_results: dict[str, bool] = {}
        self._run = run or _succeeds
        self.local_user = _local_user()
        self.local_host = socket.gethostname()

    @classmethod
    def load(
        cls, path: Path | None, *, system: Path | None = None, run: Callable[[str], bool] | None = None
    ) -> SshConfig:
        """Read `path` and then `system`, as ssh does. A file that does not exist is empty. run: for `Match exec`.

        Raises ConfigError with file and line.
        """
        config = cls(run)
        for start in (path, system):
            if start is not None and start.is_file():
                config._read(start, (), 0, start.parent)
        config._index()
        return config

    def lookup(self, name: str, *, user: str | None = None) -> Answer:
        """What the config says about the name as it was typed. user: already decided, for `Match user`."""
        answer = self._pass(name, user, Answer(), final=False)
        return self._pass(name, user, answer, final=True) if self._has_final else answer

    def expand_for_shell(self, text: str, tokens: dict[str, str], place: str) -> str:
        """As expand, for text that a shell runs: names of hosts and users that it would obey are refused (ConfigError)."""
        for name in set(_TOKEN.findall(text)) & {"h", "n", "r"}:
            if _OBEYED.search(tokens[name]):
                raise ConfigError(
                    f"{place}: {tokens[name]!r} would be obeyed by the shell",
                    hint="correct the name of the host or user",
                )
        return self.expand(text, tokens, place)

    def expand(self, text: str, tokens: dict[str, str], place: str) -> str:
        """`%h`, `${HOME}` and a leading `~`. Raises ConfigError naming the place."""

        def token(found: re.Match[str]) -> str:
            value = {"%": "%", **tokens}.get(found.group(1))
            if value is None:
                raise ConfigError(f"{place}: %{found.group(1)} is not known here", hint="see TOKENS in ssh_config(5)")
            return value

        def variable(found: re.Match[str]) -> str:
            value = os.environ.get(found.group(1))
            if value is None:
                raise ConfigError(f"{place}: the environment has no {found.group(1)}", hint="set it or edit the line")
            return value

        return os.path.expanduser(_ENV.sub(variable, _TOKEN.sub(token, text)))

    # reading

    def _read(self, path: Path, outer: tuple[_Condition, ...], depth: int, home: Path) -> None:
        if depth > MAX_INCLUDE_DEPTH:
            raise ConfigError(f"{path}: Include is nested more than {MAX_INCLUDE_DEPTH} deep", hint="is it a circle?")
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", hint="fix its permissions, or set ssh.config") from error
        block = _Block(outer)
        self._blocks.append(block)
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line[0] == "#":
                continue
            place = f"{path}:{number}"
            found = _LINE.match(line)
            if found is None:
                raise ConfigError(f"{place}: {line[:60]!r} has no value", hint="write: keyword value")
            keyword, rest = found.group(1).lower(), found.group(2)
            if keyword in _WHOLE_LINE:
                block.lines.append((keyword, (rest,), place))
                continue
            words = _split(rest, place)
            if not words:
                raise ConfigError(f"{place}: {keyword} has no value", hint="write: keyword value")
            if keyword == "host":
                patterns = tuple(w.lower() for w in words)
                block = _Block((*outer, _Condition("host-line", patterns)))
                self._blocks.append(block)
            elif keyword == "match":
                block = _Block((*outer, *self._criteria(words, place)))
                self._blocks.append(block)
            elif keyword == "include":
                for pattern in words:
                    for name in _included(pattern, home):
                        self._read(Path(name), block.conditions, depth + 1, home)
                # What follows the include belongs to the same conditions, but comes after it.
                block = _Block(block.conditions)
                self._blocks.append(block)
            else:
                block.lines.append((keyword, tuple(words), place))

    def _criteria(self, words: list[str], place: str) -> tuple[_Condition, ...]:
        conditions = []
        left = list(words)
        while left:
            kind = left.pop(0)
            negated = kind.startswith("!")
            kind, _, joined = kind.removeprefix("!").partition("=")
            kind = kind.lower()
            if kind in ("all", "canonical", "final"):
                self._has_final |= kind == "final"
                conditions.append(_Condition(kind, (), negated))
                continue
            if kind not in ("host", "originalhost", "user", "localuser", "exec", "tagged"):
                raise ConfigError(f"{place}: Match {kind} is not known", hint="see Match in ssh_config(5)")
            argument = joined or (left.pop(0) if left else "")
            if not argument:
                raise ConfigError(f"{place}: Match {kind} has no pattern", hint="see Match in ssh_config(5)")
            patterns = (argument,) if kind == "exec" else tuple(argument.split(","))
            conditions.append(_Condition(kind, patterns, negated))
        return tuple(conditions)

    def _index(self) -> None:
        for number, block in enumerate(self._blocks):
            if not block.lines:
                continue
            names = _plain_names(block.conditions)
            if names is None:
                self._tried.append(number)
            else:
                for name in set(names):
                    self._by_name.setdefault(name, []).append(number)

    # looking up

    def _pass(self, name: str, user: str | None, answer: Answer, *, final: bool) -> Answer:
        for number in merge(self._by_name.get(name.lower(), ()), self._tried):
            block = self._blocks[number]
            if all(self._holds(c, name, user, answer, final) for c in block.conditions):
                for keyword, words, place in block.lines:
                    _take(answer, keyword, words, place)
        return answer

    def _holds(self, condition: _Condition, name: str, user: str | None, answer: Answer, final: bool) -> bool:
        kind, patterns = condition.kind, condition.patterns
        if kind in ("host-line", "originalhost"):
            result = matches_list(name, patterns)
        elif kind == "all":
            result = True
        elif kind == "final":
            result = final
        elif kind == "canonical":
            result = False  # names are not made canonical
        elif kind == "host":
            result = matches_list(self._hostname(name, answer), patterns)
        elif kind == "user":
            result = matches_list(user or answer.first("user") or self.local_user, patterns)
        elif kind == "localuser":
            result = matches_list(self.local_user, patterns)
        elif kind == "tagged":
            result = matches_list(answer.first("tag") or "", patterns)
        else:
            result = self._exec(patterns[0], name, user, answer)
        return result != condition.negated

    def _hostname(self, name: str, answer: Answer) -> str:
        return (answer.first("hostname") or name).replace("%h", name).replace("%%", "%")

    def _exec(self, command: str, name: str, user: str | None, answer: Answer) -> bool:
        """`Match exec`: run once per expanded command, because a fleet asks thousands of times."""
        tokens = {
            "h": self._hostname(name, answer),
            "n": name,
            "p": answer.first("port") or "22",
            "r": user or answer.first("user") or self.local_user,
            "u": self.local_user,
            "l": self.local_host,
            "L": self.local_host.partition(".")[0],
            "d": os.path.expanduser("~"),
        }
        command = self.expand_for_shell(command, tokens, "Match exec")
        if command not in self._exec_results:
            self._exec_results[command] = self._run(command)
        return self._exec_results[command]


def _take(answer: Answer, keyword: str, words: tuple[str, ...], place: str) -> None:
    if keyword in _ADDS_UP:
        answer.options.setdefault(keyword, []).extend(words)
        answer.places.setdefault(keyword, place)
    elif keyword not in answer.options:
        answer.options[keyword] = list(words)
        answer.places[keyword] = place


def _plain_names(conditions: tuple[_Condition, ...]) -> tuple[str, ...] | None:
    """The names of the innermost Host line when it holds nothing but names; None when the block has to be tried."""
    for condition in reversed(conditions):
        if condition.kind == "host-line" and not any(c in p for p in condition.patterns for c in "*?!"):
            return condition.patterns
    return None


def _split(text: str, place: str) -> list[str]:
    if '"' not in text and "'" not in text and "\\" not in text:
        words = text.split()
        for index, word in enumerate(words):
            if word[0] == "#":
                return words[:index]
        return words
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}", hint="close the quote") from error


def _included(pattern: str, home: Path) -> list[str]:
    path = os.path.expanduser(pattern)
    return [p for p in sorted(glob.glob(path if os.path.isabs(path) else str(home / path))) if os.path.isfile(p)]


def _local_user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _succeeds(command: str) -> bool:
    try:
        return (
            subprocess.run(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=MATCH_EXEC_TIMEOUT_S,
                check=False,
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
