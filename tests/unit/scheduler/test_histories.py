"""Random interleavings with a crash at any statement: the benchmark's histories, a small number of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.concurrency import make_template, run_history


def test_random_histories_with_crashes_keep_every_promise(tmp_path: Path) -> None:
    template, inventory = make_template(tmp_path / "template.db")
    happened: Counter[str] = Counter()
    for seed in range(40):
        happened += run_history(template, inventory, seed)
    # The histories are worth something only when all of this really happened in them.
    for name in (
        "crashed",
        "interleaved",
        "refused",
        "plan",
        "undo",
        "ask",
        "engine",
        "hooks",
        "outside",
        "terminated",
    ):
        assert happened[name] > 4, name
