"""Frames survive whatever stands between them, and nothing that is no frame is taken for one."""

from __future__ import annotations

import itertools
from binascii import crc32

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.probes.frames import Frame, FrameDecoder
from fleetctl.probes.host_loop import clean, frame

BODIES = st.lists(st.binary(max_size=200).map(clean), min_size=1, max_size=8)
NOISE = st.binary(max_size=60).map(clean)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at)]


def decode(data: bytes, cuts: list[int]) -> tuple[list[Frame], FrameDecoder]:
    decoder = FrameDecoder()
    return [f for piece in pieces(data, cuts) for f in decoder.feed(piece)], decoder


@given(BODIES, st.lists(NOISE, min_size=9, max_size=9), st.lists(st.integers(0, 10_000), max_size=12))
def test_every_frame_arrives_however_it_is_cut_and_whatever_is_between(bodies, noise, cuts):
    data = noise[-1] + b"".join(frame("R", n, body) + noise[n] for n, body in enumerate(bodies))
    frames, decoder = decode(data, cuts)
    assert frames == [Frame("R", n, body) for n, body in enumerate(bodies)]
    assert decoder.damaged == 0
    assert decoder.noise_bytes == sum(len(noise[n]) for n in range(len(bodies))) + len(noise[-1])


@given(BODIES, st.integers(0, 10_000), st.integers(0, 10_000), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_hole_costs_the_frames_it_touches_and_no_other(bodies, start, length, cuts):
    frames = [frame("R", n, body) for n, body in enumerate(bodies)]
    data = b"".join(frames)
    a = start % (len(data) + 1)
    b = min(len(data), a + length % 300)
    got, _ = decode(data[:a] + data[b:] + frame("R", 99, b"last"), cuts)
    at, whole = 0, []
    for n, one in enumerate(frames):
        if at + len(one) <= a or at >= b or a == b:
            whole.append(Frame("R", n, bodies[n]))
        at += len(one)
    assert [f for f in got[:-1] if f in whole] == whole
    assert all(f.body in bodies for f in got[:-1])
    assert got[-1] == Frame("R", 99, b"last")


@given(BODIES, st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_never_believed(bodies, at, flip):
    data = bytearray(b"".join(frame("R", n, body) for n, body in enumerate(bodies)))
    at %= len(data)
    data[at] ^= flip
    got, _ = decode(bytes(data) + frame("R", 99, b"last"), [])
    sent = set(bodies) | {b"last"}
    assert all(f.body in sent for f in got)
    assert got[-1].body == b"last"


@given(st.binary(max_size=2000), st.lists(st.integers(0, 10_000), max_size=6))
def test_garbage_is_survived(data, cuts):
    decode(data, cuts)


def test_a_length_that_lies_does_not_swallow_what_follows():
    lie = b"\x1eFR 1 15000000 00000000\nshort"
    frames, decoder = decode(lie + frame("R", 2, b"good"), [])
    assert frames == [Frame("R", 2, b"good")]
    assert decoder.damaged == 1


def test_more_than_the_limit_is_refused_at_once():
    decoder = FrameDecoder(max_frame=1000)
    assert decoder.feed(b"\x1eFR 1 1001 00000000\n" + b"x" * 5000) == []
    assert decoder.damaged == 1
    assert decoder.feed(frame("R", 2, b"good")) == [Frame("R", 2, b"good")]


def test_a_big_frame_in_small_pieces_is_joined_once():
    body = b"x" * 4_000_000
    data = frame("R", 1, body)
    decoder = FrameDecoder()
    got = [f for at in range(0, len(data), 4096) for f in decoder.feed(data[at : at + 4096])]
    assert got == [Frame("R", 1, body)]
    assert decoder._parts == []


def test_noise_without_end_is_not_kept():
    decoder = FrameDecoder()
    for _ in range(1000):
        decoder.feed(b"motd \x1b[31m red " * 100)
    assert len(decoder.noise) <= 512
    assert sum(map(len, decoder._parts)) < 100


def test_the_sh_form_is_checked_by_length_and_end_mark():
    assert decode(b"\x1eFR 7 4 -\nbody\x1f\n", [])[0] == [Frame("R", 7, b"body")]
    assert decode(b"\x1eFR 7 4 -\nbodyx\x1f\n", [])[0] == []


def test_the_checksum_is_crc32_as_zlib_has_it():
    assert b"%08x" % crc32(b"abc") in frame("R", 1, b"abc")
