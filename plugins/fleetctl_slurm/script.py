"""One shell script per question: every part between marks nobody can guess, with its exit status, under a limit of its own.

The marks tell half an answer from a whole one, and a reason somebody wrote from the record it stands in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Settings of the account that would change what the tools print, and for which cluster.
_CLEAN = (
    "export LC_ALL=C TZ=UTC\n"
    "for v in $(env | sed -n 's/^\\(\\(SINFO\\|SQUEUE\\|SCANCEL\\|SBATCH\\|SCONTROL\\)_[A-Z_]*\\)=.*/\\1/p'); do unset $v; done\n"
    "unset SLURM_TIME_FORMAT SLURM_BITSTR_LEN SLURM_CLUSTERS SLURM_JSON SLURM_YAML SLURM_DEBUG_FLAGS\n"
)
_NONCE = re.compile(r"[0-9a-f]{8,32}")
KILL_AFTER_S = 2  # a client that ignores TERM


@dataclass(frozen=True, slots=True)
class Part:
    """What one command answered. status: its exit status, None when its end never came (half an answer)."""

    out: str = ""
    err: str = ""
    status: int | None = None

    @property
    def timed_out(self) -> bool:
        """`timeout` gives 124, or 137 when it had to kill."""
        return self.status in (124, 137)


def script(
    commands: Mapping[str, Sequence[str]],
    nonce: str,
    *,
    timeout_s: float,
    bin_path: str = "",
    conf: str = "",
    first: str = "",
    first_timeout_s: float = 5.0,
) -> str:
    """POSIX sh that runs the commands in order. first: name of one whose failure ends the script there.

    nonce: 8 or more hex digits, new each time. bin_path goes before PATH; conf becomes SLURM_CONF.
    """
    if not _NONCE.fullmatch(nonce):
        raise ValueError(f"not a nonce: {nonce!r}")
    lines = [_CLEAN]
    if bin_path:
        lines.append(f"PATH={shlex.quote(bin_path)}:$PATH; export PATH")
    if conf:
        lines.append(f"SLURM_CONF={shlex.quote(conf)}; export SLURM_CONF")
    for name, words in commands.items():
        limit = first_timeout_s if name == first else timeout_s
        command = " ".join(shlex.quote(word) for word in words)
        lines.append(f"echo {nonce} begin {name}; echo {nonce} begin {name} >&2")
        lines.append(f"timeout -k {KILL_AFTER_S} {limit:g} {command}; rc=$?")
        lines.append(f'echo "{nonce} end {name} $rc"; echo "{nonce} end {name} $rc" >&2')
        if name == first:
            lines.append('[ "$rc" = 0 ] || exit 0')
    return "\n".join(lines) + "\n"


def split(nonce: str, stdout: str, stderr: str) -> dict[str, Part]:
    """The parts of an answer by name. Anything outside marks (a banner, a login message) is dropped."""
    out, ends = _cut(nonce, stdout)
    err, _ = _cut(nonce, stderr)
    return {name: Part(text, err.get(name, "").strip()[:4000], ends.get(name)) for name, text in out.items()}


def _cut(nonce: str, text: str) -> tuple[dict[str, str], dict[str, int]]:
    bodies: dict[str, str] = {}
    ends: dict[str, int] = {}
    mark = re.compile(rf"^{nonce} (begin|end) ([a-z]+)(?: (\d{{1,3}}))?\r?\n", re.MULTILINE)
    name, start = "", 0
    for match in mark.finditer(text):
        if match[1] == "begin":
            name, start = match[2], match.end()
            bodies[name] = ""
        elif match[2] == name and match[3] is not None:
            bodies[name] = text[start : match.start()]
            ends[name] = int(match[3])
            name = ""
    if name:
        bodies[name] = text[start:]
    return bodies, ends
