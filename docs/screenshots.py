"""Makes docs/images/*.svg from the running program: a demo fleet, its engine, and the console's own screens.

Run it from the root of the repository: python docs/screenshots.py
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fleetctl.config import load_config
from fleetctl.i18n import set_language
from fleetctl.inventory import build_inventory
from fleetctl.tui.app import Console
from fleetctl.tui.store_source import StoreSource

IMAGES = Path(__file__).parent / "images"
SHOTS = {
    "overview": ["1"],
    "nodes": ["2"],
    "node": ["2", "enter"],
    "cards": ["3"],
    "power": ["7", "enter", "down"],
    "cooling": ["8"],
}
ROUNDS = 40


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        serve = [sys.executable, "-m", "fleetctl_demo.serve", folder]
        with subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
            assert servers.stdin is not None
            assert servers.stdout is not None
            faults = [["down", "lg-h100-07"], ["hang", "mh-910b-03"], ["over", "lg-a02"], ["leak", "lingang-a-cdu-1"]]
            spec = {"fleet": "city", "hosts": 60, "seed": 1, "faults": faults}
            servers.stdin.write(json.dumps({**spec, "interval_s": 1.0}) + "\n")
            servers.stdin.flush()
            config = Path(servers.stdout.readline().removeprefix("ready ").strip())
            command = [sys.executable, "-m", "fleetctl", "-C", str(config), "engine", "run"]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as engine:
                assert engine.stderr is not None
                rounds = 0
                while rounds < ROUNDS:
                    rounds += "round" in engine.stderr.readline()
                asyncio.run(shoot(config))
                engine.terminate()
                engine.communicate()
            servers.stdin.close()


async def shoot(config_path: Path) -> None:
    """One picture per screen, 160 columns wide."""
    config = load_config(config_path)
    os.environ["COLORTERM"] = "truecolor"
    set_language("en")
    IMAGES.mkdir(exist_ok=True)
    for name, keys in SHOTS.items():
        source = StoreSource(config, build_inventory(config))
        app = Console(source, watch=False)
        async with app.run_test(size=(150, 40)) as pilot:
            for key in keys:
                await pilot.press(key)
                await app.workers.wait_for_complete()
                await pilot.pause()
            svg = app.export_screenshot(title=f"fleetctl: {name}")
        source.close()
        # Fonts come from the reader's machine: no address of a font server belongs in the tree.
        svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
        svg = svg.replace("font-family: Fira Code", "font-family: Fira Code, DejaVu Sans Mono, Menlo, Consolas")
        (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
