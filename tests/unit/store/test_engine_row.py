"""The engine's line in the store."""

from fleetctl.store import Database
from fleetctl.store.engine_row import EngineRow, engine_row, save_engine_beat, save_engine_start, save_engine_stop


def test_start_beat_stop_and_start_again(db: Database) -> None:
    with db.write() as conn:
        assert engine_row(conn) is None
        save_engine_start(conn, 7, "ops", "0.1.0", 100.9)
        save_engine_beat(conn, 160, slot=120, note={"hosts": 3})
        save_engine_beat(conn, 170)
        assert engine_row(conn) == EngineRow(7, "ops", "0.1.0", 100, 170, None, 120, {"hosts": 3})
        save_engine_stop(conn, 180)
        save_engine_start(conn, 8, "ops", "0.2.0", 200)
        assert engine_row(conn) == EngineRow(8, "ops", "0.2.0", 200, 200, None, 120, {"hosts": 3})
