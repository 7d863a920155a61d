"""Genuine recordings, mutated, through every parser: no crash, no hang, no growth, nothing impossible let through.

    python benchmarks/mutate.py [--inputs 10000000] [--seconds 3600] [--seed 1] [--only WORD] [--keep FOLDER]

Seeds are the recordings beside the repository (`../shared/recordings`, or $FLEETCTL_SHARED) and the fixtures of the tests.
Each input is made from one seed by one to four mutations: flipped bits, cuts, lines doubled, swapped, spliced or lost,
numbers made huge, negative, NaN or of other scripts, terminal escapes, invalid UTF-8, nesting, long lines; one in
`--large-every` is grown to a megabyte. The contract of a parser: it returns, or raises what it names (FleetctlError);
it takes at most `LIMIT_S` plus `LIMIT_S_PER_MB` of CPU; every number it returns is finite and within its physical bounds;
no string it returns holds a control character. Prints a table per parser; exit 1 with each distinct fault's number,
which `--only PARSER --first NUMBER --inputs 1` plays again.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent)]  # run as a file, too

from fleetctl.errors import FleetctlError

LIMIT_S, LIMIT_S_PER_MB = 0.25, 3.0  # CPU of one input
HANG_S = 30.0
GROWTH_KIB = 24 * 1024  # resident memory a parser may have gained over its second half of inputs
LARGE = 1 << 20
TURN = 50  # inputs of one parser before the next has its turn

ODD_NUMBERS = (
    b"0", b"-1", b"-0.0", b"1e308", b"1e999", b"-1e999", b"NaN", b"nan", b"Infinity", b"-inf", b"0x7fffffffffffffff",
    b"18446744073709551616", b"99999999999999999999999", b"4294967295", b"65535", b"-32768", b"1_000", b"1,000", b"1.2.3",
    b"\xd9\xa3\xd9\xa4", b"\xc2\xb2", b"\xef\xbc\x95", b"9" * 5000, b"0." + b"0" * 400 + b"1", b"N/A", b"null", b"true", b"",
)  # fmt: skip
ODD_TEXT = (
    b"\x1b[31m", b"\x1b]0;owned\x07", b"\x1b[2J\x1b[H", b"\x1bP1$r\x1b\\", b"\x9b31m", b"\xc2\x9b31m", b"\x00", b"\x07", b"\x08\x08",
    b"\r", b"\x7f", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xc2\x85", b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf",
    b"\t", b"|", b",", b":", b'"', b"'", b"\\", b"%s", b"{0}", b"<!ENTITY a '&a;'>", b"<![CDATA[", b"]]>", b"&#27;", b"\\u001b", b"\\ud800", b"#", b"@", b"[1-999999999]",
)  # fmt: skip
NESTS = (b"[", b'{"a":', b"<a>", b"(", b'{"Members":[', b"a.", b"[[")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four mutations. other: a second seed, for splices."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(MUTATIONS)(data, other, rng)
    return data


def _at(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = _at(data, rng)
    return start, min(len(data), start + rng.choice((1, 4, 20, 100, 1000)))


def flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 8)) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return rng.choice((data[:start], data[start:], data[:start] + data[end:]))


def line(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A line doubled, many times over, lost, or two of them swapped."""
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines[i:i] = [lines[i]] * rng.choice((1, 2, 50))
        case 1:
            del lines[i]
        case 2:
            lines[i], lines[j] = lines[j], lines[i]
        case _:
            lines[i] += lines[j]
    return b"\n".join(lines)


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    (a, b), (c, d) = _span(data, rng), _span(other, rng)
    return data[:a] + other[c:d] + data[rng.choice((a, b)) :]


def number(data: bytes, other: bytes, rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data, *_window(data, rng)))
    if not found:
        return insert(data, other, rng)
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(ODD_NUMBERS) + data[one.end() :]


def _window(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(max(1, len(data) - 1000))
    return start, start + 2000


def insert(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.choice(ODD_TEXT) + data[at:]


def nest(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.choice(NESTS) * rng.choice((2, 40, 3000)) + data[at:]


def long(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return (
        data[:at]
        + rng.choice((b"x", b" ", b"9", b"-", b"|", b"\xe4\xba\xba", b",")) * rng.choice((300, 5000, 70_000))
        + data[at:]
    )


MUTATIONS: Sequence[Callable[[bytes, bytes, random.Random], bytes]] = (
    flip, flip, cut, cut, line, line, splice, number, number, number, insert, insert, nest, long,
)  # fmt: skip


def grow(data: bytes, rng: random.Random) -> bytes:
    """About a megabyte: the whole, a line of it or a piece of it over and over."""
    lines = data.split(b"\n")
    a, b = _span(data, rng)
    piece = rng.choice((data + b"\n", rng.choice(lines) + b"\n", data[a:b], data[a : a + 1])) or b" "
    at = _at(data, rng)
    return (data[:at] + piece * (LARGE // len(piece)) + data[at:])[:LARGE]


@dataclass
class Target:
    """One parser. seeds: genuine inputs, each with what else the parser needs; run: raises FleetctlError or returns what
    is looked at by `look`, which yields what is wrong with it."""

    name: str
    seeds: Sequence[tuple[bytes, Any]]
    run: Callable[[bytes, Any], Any]
    look: Callable[[Any], Iterator[str]]
    own: bool = False  # written by the operator, read once at a start: tomllib takes a key of 3,000 parts its time
    inputs: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    slowest_large_s: float = 0.0
    cpu_s: float = 0.0
    half_kib: int = 0
    end_kib: int = 0
    peak_kib: int = 0
    faults: dict[str, list[int]] = field(default_factory=dict)


class HangError(BaseException):
    """The parser did not come back."""


def play(target: Target, first: int, count: int, seed: int, large_every: int, keep: Path | None) -> None:
    """Inputs `first` to `first + count` of one parser."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(first, first + count):
        rng = random.Random(hash((seed, n)) ^ int.from_bytes(target.name.encode()[:12], "big"))
        data, about = rng.choice(target.seeds)
        data = mutate(data, rng.choice(target.seeds)[0], rng)[:LARGE]
        large = not target.own and n % large_every == large_every - 1
        if large:
            data = grow(data, rng)
        began = time.process_time()
        wrong: list[str] = []
        signal.setitimer(signal.ITIMER_REAL, HANG_S)
        try:
            wrong = list(target.look(target.run(data, about)))[:3]
        except FleetctlError:
            target.refused += 1
        except HangError:
            wrong = ["does not come back: " + _where()]
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            wrong = [f"{type(error).__name__}: {str(error)[:80]!r} {_where()}"]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        spent = time.process_time() - began
        target.inputs += 1
        target.cpu_s += spent
        if large:
            target.slowest_large_s = max(target.slowest_large_s, spent)
        else:
            target.slowest_s = max(target.slowest_s, spent)
        if spent > (LIMIT_S + LIMIT_S_PER_MB * len(data) / LARGE) * (8 if target.own else 1):
            wrong.append("too slow")
        for what in wrong:
            key = re.sub(r"[0-9]{2,}", "N", what)[:160]
            if key not in target.faults and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{re.sub(r'[^a-z0-9]+', '-', target.name)}-{n}").write_bytes(data)
            numbers = target.faults.setdefault(key, [])
            if not numbers:
                print(
                    f"FAULT {target.name} {n}: {what} ({len(data)} bytes, {spent:.2f} s)", file=sys.stderr, flush=True
                )
            numbers.append(n)
    target.peak_kib += max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)


def _where() -> str:
    frames = [
        f
        for f in traceback.extract_tb(sys.exc_info()[2])
        if "fleetctl" in f.filename and "benchmarks" not in f.filename
    ]
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"


def resident_kib() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, with what was done")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each parser")
    parser.add_argument("--large-every", type=int, default=2000, help="one in so many is a megabyte")
    parser.add_argument("--only", default="", help="parsers whose name contains this")
    parser.add_argument("--keep", type=Path, help="write the first input of each fault there")
    parser.add_argument("--list", action="store_true", help="only name the parsers and their seeds")
    options = parser.parse_args()
    from benchmarks.mutate_targets import targets

    def hang(*_: object) -> None:
        raise HangError

    signal.signal(signal.SIGALRM, hang)
    chosen = [t for t in targets() if options.only in t.name]
    if options.list:
        for target in chosen:
            print(f"{target.name:44} {len(target.seeds)} seeds, {sum(len(s) for s, _ in target.seeds)} bytes")
        return 0
    began, done = time.monotonic(), 0
    share = -(-options.inputs // len(chosen))
    half = share // 2
    first = 0
    while first < share and time.monotonic() - began < options.seconds:
        for target in chosen:
            if time.monotonic() - began >= options.seconds:
                break
            count = min(TURN, share - first)
            before = resident_kib() if first == 0 or first % 2000 == 0 else 0
            play(target, options.first + first, count, options.seed, options.large_every, options.keep)
            done += count
            if before and first:  # caches have filled in the first turn
                target.end_kib += max(0, resident_kib() - before)
        first += TURN
    del half
    report(chosen, done, time.monotonic() - began)
    return 1 if any(t.faults or t.end_kib > GROWTH_KIB for t in chosen) else 0


def report(chosen: Sequence[Target], done: int, seconds: float) -> None:
    cpu = sum(os.times()[:2])
    print(f"{done} inputs to {len(chosen)} parsers in {seconds:.0f} s ({cpu:.0f} s CPU)")
    print(
        f"{'parser':40} {'inputs':>8} {'refused':>8} {'mean us':>8} {'slowest ms':>10} {'1 MB ms':>8} {'grown KiB':>9} {'faults':>6}"
    )
    for t in sorted(chosen, key=lambda t: t.name):
        mean = 1e6 * t.cpu_s / max(1, t.inputs)
        print(
            f"{t.name:40} {t.inputs:8} {t.refused:8} {mean:8.0f} {1000 * t.slowest_s:10.0f} {1000 * t.slowest_large_s:8.0f}"
            f" {t.end_kib:9} {len(t.faults):6}"
        )
    for t in chosen:
        for what, numbers in t.faults.items():
            print(f"FAULT {t.name}: {what} ({len(numbers)} times, first {numbers[0]})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory at most {peak // 1024} MiB; {sum(len(t.faults) for t in chosen)} kinds of faults")


if __name__ == "__main__":
    sys.exit(main())
