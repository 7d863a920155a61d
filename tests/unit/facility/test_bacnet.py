"""BACnet objects: faults, units, states, and totals that are never sums."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import NotFoundError, UsageError
from fleetctl.facility.endpoint import parse_url
from fleetctl.facility.source import open_source
from fleetctl_bacnet.points import BacnetObject, tell, total_power


def test_values_in_the_units_of_the_house() -> None:
    objects = [
        BacnetObject("analog-input,1", "Active power", units="kilowatts", value=812.5),
        BacnetObject("analog-value,2", "Supply", units="degrees-fahrenheit", value=68.0),
        BacnetObject("analog-value,3", "Valve 2", units="percent", value=40.0),
        BacnetObject("analog-value,4", "Pump 1", units="revolutions-per-minute", value=2900),
        BacnetObject("binary-input,1", "Leak rope", value="active", flags=(True, False, False, False)),
    ]
    readings, states, unknown, findings = tell(objects, 5.0)
    assert [(r.quantity, round(r.value, 3), r.unit) for r in readings] == [
        ("power", 812_500, "W"),
        ("temperature", 20, "C"),
        ("valve", 40, "%"),
        ("pump_speed", 2900, "rpm"),
    ]
    assert [(s.what, s.word, s.bad) for s in states] == [("leak", "leak", True)]  # an alarm is no fault
    assert (unknown, findings) == ([], [])


@pytest.mark.parametrize(
    "one",
    [
        BacnetObject("analog-input,4", "CT", units="amperes", value=0.0, flags=(False, True, False, False)),
        BacnetObject("analog-input,4", "CT", units="amperes", value=0.0, flags=(False, False, False, True)),
        BacnetObject("analog-input,4", "CT", units="amperes", value=0.0, out_of_service=True),
        BacnetObject("analog-input,4", "CT", units="amperes", value=0.0, reliability="no-sensor"),
        BacnetObject("analog-input,4", "CT", units="amperes"),
        BacnetObject("analog-input,4", "CT", units="amperes", value=float("nan")),
    ],
)
def test_a_fault_is_unknown(one: BacnetObject) -> None:
    readings, _, unknown, _ = tell([one], 5.0)
    assert readings == []
    assert [(u.quantity, u.source) for u in unknown] == [("current", "analog-input,4")]


def test_a_faulty_leak_detector_is_not_dry() -> None:
    _, states, unknown, _ = tell([BacnetObject("binary-input,1", "Leak", value="inactive", out_of_service=True)], 5.0)
    assert [(s.word, s.bad) for s in states] == [("unknown", None)]
    assert len(unknown) == 1


def test_powers_are_never_added() -> None:
    def power(*names: str) -> str | None:
        made = [BacnetObject(f"analog-input,{i}", n, units="watts", value=5.0) for i, n in enumerate(names)]
        found = total_power(tell(made, 1.0)[0])
        return found.where if found else None

    assert power("L1") == "L1"
    assert power("L1", "L2", "Total") == "Total"
    assert power("L1", "L2") is None
    assert power() is None


@given(st.text(max_size=30), st.text(max_size=20), st.none() | st.floats() | st.text(max_size=10))
def test_each_object_is_told_once(name: str, units: str, value: float | str | None) -> None:
    told = tell([BacnetObject("analog-value,1", name, units=units, value=value)], 1.0)
    assert sum(len(part) for part in told) == 1


def test_addresses_and_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("bacnet://10.0.0.9/nine", "bacnet://10.0.0.9/4194303", "bacnet://10.0.0.9?local=x:y"):
        with pytest.raises(UsageError):
            open_source(parse_url(url))
    monkeypatch.delitem(sys.modules, "fleetctl_bacnet.source", raising=False)
    monkeypatch.setitem(sys.modules, "bacpypes3.apdu", None)
    with pytest.raises(NotFoundError) as caught:
        open_source(parse_url("bacnet://10.0.0.9"))
    assert "pip install 'fleetctl[bacnet]'" in caught.value.hint
