"""SQLite's errors become ours, and network disks are told from local ones."""

import sqlite3
from pathlib import Path

import pytest

from fleetctl.errors import StoreBusyError, StoreCorruptError, StoreError, StoreReadOnlyError
from fleetctl.store.faults import network_disk, store_errors

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /home rw - nfs4 filer:/home rw,vers=4.2
41 40 8:2 / /home/local rw - xfs /dev/sdb1 rw
42 22 0:36 / /mnt/with\\040space rw - cifs //nas/share rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ops/fleet.db", "nfs4"),
        ("/home/local/fleet.db", None),
        ("/homework/fleet.db", None),
        ("/mnt/with space/fleet.db", "cifs"),
        ("/var/lib/fleet.db", None),
    ],
)
def test_network_disk_is_told_by_the_deepest_mount(path: str, kind: str | None) -> None:
    assert network_disk(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreBusyError),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreReadOnlyError),
        (sqlite3.SQLITE_FULL, StoreReadOnlyError),
        (sqlite3.SQLITE_IOERR_WRITE, StoreReadOnlyError),
        (sqlite3.SQLITE_NOTADB, StoreCorruptError),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorruptError),
        (sqlite3.SQLITE_MISUSE, StoreError),
    ],
)
def test_every_kind_of_error_has_its_place(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("said so")
    error.sqlite_errorcode = code
    with pytest.raises(kind, match=r"/db: .*said so") as caught, store_errors(Path("/db")):
        raise error
    assert type(caught.value) is kind
    assert caught.value.hint or kind is StoreError
