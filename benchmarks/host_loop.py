"""CPU of a host per sample: the python loop and the sh loop beside node_exporter, on this machine.

    python benchmarks/host_loop.py [--samples 40] [--exporter prometheus-node-exporter]

Each loop runs as on a host and is asked for rounds; the exporter (Debian: prometheus-node-exporter) is scraped over
loopback. CPU is user + system time of the process and its ended children.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from fleetctl.probes.frames import FrameDecoder
from fleetctl.probes.kernel_log import kernel_probe
from fleetctl.probes.plan import LoopForm, Plan, build_plan, launch_command
from fleetctl.probes.system import system_probes

INTERVAL_S = 0.1


def cpu_s(pid: int) -> float:
    cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, cells[11:15])) / os.sysconf("SC_CLK_TCK")


def rounds(process: subprocess.Popen[bytes], decoder: FrameDecoder, count: int) -> None:
    assert process.stdout is not None
    while count > 0:
        if not select.select([process.stdout], [], [], 30.0)[0]:
            raise SystemExit("the loop fell silent")
        count -= sum(frame.kind == "R" for frame in decoder.feed(os.read(process.stdout.fileno(), 65536)))


def loop_ms(plan: Plan, form: LoopForm, samples: int) -> float:
    process = subprocess.Popen(
        ["/bin/sh", "-c", launch_command(form)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin is not None
    process.stdin.write(plan.python_program(INTERVAL_S) if form is LoopForm.PYTHON else plan.sh_program(INTERVAL_S))
    decoder = FrameDecoder()
    try:
        if form is LoopForm.SH:
            process.stdin.write(b"r 1 0 1 2\n")  # everything once; then what comes each round
        rounds(process, decoder, 3 if form is LoopForm.PYTHON else 1)
        before = cpu_s(process.pid)
        for number in range(samples):
            if form is LoopForm.SH:
                process.stdin.write(b"r %d 0\n" % (number + 2))
            rounds(process, decoder, 1)
        return (cpu_s(process.pid) - before) * 1000 / samples
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def exporter_ms(tool: str, samples: int) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [tool, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        for _ in range(100):
            try:
                urllib.request.urlopen(url).read()
                break
            except OSError:
                time.sleep(0.1)
        before = cpu_s(process.pid)
        for _ in range(samples):
            urllib.request.urlopen(url).read()
            time.sleep(INTERVAL_S)
        return (cpu_s(process.pid) - before) * 1000 / samples
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--exporter", default="prometheus-node-exporter")
    args = parser.parse_args()
    plan = build_plan((*system_probes(300.0), (kernel_probe(30.0), True)), [], 1 << 20)
    found = shutil.which(args.exporter)
    peer = exporter_ms(found, args.samples) if found else None
    print(f"CPU of the host per sample, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'way':32} {'ms':>8} {'ratio':>7}  target")
    if peer is None:
        print(f"{args.exporter}: not installed (apt-get install prometheus-node-exporter)")
    else:
        print(f"{'node_exporter':32} {peer:8.2f} {1:7.2f}")
    for title, form in (("python loop", LoopForm.PYTHON), ("sh loop", LoopForm.SH)):
        ms = loop_ms(plan, form, args.samples)
        print(f"{title:32} {ms:8.2f} {f'{ms / peer:.2f}' if peer else '-':>7}  0.40")


if __name__ == "__main__":
    main()
