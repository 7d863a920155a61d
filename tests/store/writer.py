"""A process that writes rounds until it is killed: `python writer.py DB HOSTS [ROUNDS] [FILE_LIMIT]`.

Prints the slot of every round after its commit. Run by the tests beside this file.
"""

from __future__ import annotations

import resource
import sys

from fleetctl.config.schema import Store as Policy
from fleetctl.errors import StoreError
from fleetctl.model.reading import Device
from fleetctl.model.report import Block, HostReport
from fleetctl.model.states import Reach
from fleetctl.store import Database
from fleetctl.store.housekeeping import Housekeeper
from fleetctl.store.rounds import save_reports

FIRST = 1_700_002_800
COLUMNS = ("temp_c", "power_w", "mem_used_bytes")


def reports(slot: int, hosts: int) -> list[HostReport]:
    """Every value tells its slot, so that a reader can see whether a round is whole."""
    rows = tuple((slot % 1000, slot % 997, 2**20 * (slot % 991)) for _ in range(8))
    return [
        HostReport(
            f"gpu{n:03}",
            slot + 1,
            Reach.FRESH,
            blocks=(Block("card", COLUMNS, tuple(Device("card", f"{n}-{i}") for i in range(8)), rows),),
        )
        for n in range(hosts)
    ]


def main(path: str, hosts: int, rounds: int, file_limit: int) -> None:
    with Database.open(path, write=True) as db:
        if file_limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        with db.read() as conn:
            last = conn.execute("SELECT max(slot) FROM hosts").fetchone()[0]
        slot = FIRST if last is None else last + 60
        keeper = Housekeeper(db, Policy(path="x", raw_hours=0.1))
        for n in range(rounds):
            try:
                save_reports(db, slot, reports(slot, hosts))
            except StoreError as error:
                print(f"{type(error).__name__}: {error.hint}", flush=True)
                return
            print(slot, flush=True)
            if n % 20 == 19:
                keeper.step(slot)
            slot += 60


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[2:]]
    main(sys.argv[1], given[0], given[1] if len(given) > 1 else 10**9, given[2] if len(given) > 2 else 0)
