"""What Prometheus spends on the same: scraping, parsing and storing 8 cards x 16 metrics per host and round.

    python benchmarks/scrape.py [--hosts 1000] [--every 5] [--seconds 40]

The peer of benchmarks/full_fleet.py. One process stands for all exporters and is not counted; one scrape per host.
Needs `prometheus` on PATH (Debian: apt-get install prometheus).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.request import urlopen

from store import COLUMNS

CARDS = 8
_FLOATS = 'prometheus_tsdb_head_samples_appended_total{type="float"}'  # since 2.43


class Exporter(BaseHTTPRequestHandler):
    """Believable values: half of them never move, the others do each time."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        any_ = random.randrange
        now = int(time.time())
        lines = []
        for card in range(CARDS):
            row = (
                any_(85, 100), any_(60, 75), any_(80000) << 20, 81559 << 20, any_(300, 650), 700, any_(50, 70),
                any_(55, 75), 1980 - any_(4) * 15, 2619, 3, 0, 5, 16, now * 500, 1,
            )  # fmt: skip
            lines += [f'gpu_{name}{{gpu="{card}"}} {value}\n' for name, value in zip(COLUMNS, row, strict=True)]
        body = "".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve(tell: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    tell.send(server.server_port)
    server.serve_forever()


def cpu_s(process: int) -> float:
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def samples(port: int) -> float:
    """Samples taken in since the start, from its own counters."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(("prometheus_tsdb_head_samples_appended_total ", _FLOATS)):
                return float(line.split()[-1])
    raise SystemExit("prometheus does not count its samples")


def free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        return server.server_port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=40.0)
    words = parser.parse_args()
    here, there = multiprocessing.Pipe()
    exporter = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    exporter.start()
    target = here.recv()
    with tempfile.TemporaryDirectory() as folder:
        hosts = [
            {"targets": [f"127.0.0.1:{target}"], "labels": {"__metrics_path__": f"/gpu{n:05}", "host": f"gpu{n:05}"}}
            for n in range(words.hosts)
        ]
        config = Path(folder) / "prometheus.yml"
        pace = {"scrape_interval": f"{words.every}s", "scrape_timeout": f"{words.every}s"}
        config.write_text(
            json.dumps({"global": pace, "scrape_configs": [{"job_name": "gpu", "static_configs": hosts}]})
        )
        port = free_port()
        command = [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", "--log.level=error",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with subprocess.Popen(command) as peer:
            try:
                time.sleep(3 * words.every)  # the first rounds make the series
                began, used = samples(port), cpu_s(peer.pid)
                time.sleep(words.seconds)
                taken, used = samples(port) - began, cpu_s(peer.pid) - used
            finally:
                peer.terminate()
    rounds = taken / (CARDS * len(COLUMNS))
    print(f"prometheus: {taken:,.0f} samples in {used:.2f} CPU s, load {os.getloadavg()[0]:.1f}")
    print(f"{taken / used / 1e6:.2f} million samples per CPU s; {used / rounds * 1000:.3f} ms per host and round")


if __name__ == "__main__":
    main()
