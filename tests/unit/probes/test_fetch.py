"""The shell line that reads an exporter's page of the host itself, against a real server on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleetctl.probes.fetch import fetch, serves


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"DCGM_FI_DEV_GPU_TEMP 30\n")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    server.shutdown()
    thread.join()
    server.server_close()


def _sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_the_page_is_fetched(url: str) -> None:
    assert _sh(fetch(url)).stdout == "DCGM_FI_DEV_GPU_TEMP 30\n"


def test_an_exporter_is_found_by_what_it_says(url: str) -> None:
    assert _sh(serves(url, "DCGM_FI_")).returncode == 0
    assert _sh(serves(url, "npu_chip")).returncode != 0


def test_where_the_tool_is_the_exporter_is_not_asked(url: str) -> None:
    assert _sh(serves(url, "DCGM_FI_", unless="sh")).returncode == 1


def test_nobody_at_home_is_a_failure_and_prints_nothing() -> None:
    answer = _sh(fetch("http://127.0.0.1:9/metrics"))
    assert answer.returncode != 0
    assert answer.stdout == ""
