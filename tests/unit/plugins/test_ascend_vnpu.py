"""Virtual NPUs are parts of their chip. The text follows the vendor's manual; no recording of it was to be had."""

from fleetctl.model.probe import Output
from fleetctl_ascend.parsers import parse_for_command

TEXT = """
+-------------------------------------------------------------------------------+
| NPU resource static info as follow:                                           |
| Format:Free/Total                   NA: Currently, query is not supported.    |
| AICORE    Memory    AICPU    VPC    VENC    VDEC    JPEGD    JPEGE    PNGD    |
| 4/8       7/14      4/7      6/12   3/3     6/12    8/16     4/8      NA/NA   |
+-------------------------------------------------------------------------------+
| Total number of vnpu: 2                                                       |
+-------------------------------------------------------------------------------+
|  Vnpu ID  |  Vgroup ID     |  Container ID  |  Status  |  Template Name        |
+-------------------------------------------------------------------------------+
|  100      |  0             |  000000000000  |  0       |  vir02                |
|  101      |  1             |  ffffffffffff  |  1       |  vir02_1c             |
+-------------------------------------------------------------------------------+
"""


def test_virtual_npus_are_parts_of_their_chip() -> None:
    result = parse_for_command("npu-smi info -t info-vnpu -i 3 -c 0")(Output(TEXT))
    parts = [r.device for r in result.readings if r.device.parent is not None]
    whole = [r.device for r in result.readings if r.device.parent is None]
    assert [(p.index, p.partition) for p in parts] == [("100", "vir02"), ("101", "vir02_1c")]
    assert [w.index for w in whole] == ["3"]
    assert {p.parent for p in parts} == {whole[0].key}


def test_without_a_card_they_are_findings() -> None:
    result = parse_for_command("npu-smi info")(Output(TEXT))
    assert not result.readings
    assert len(result.findings) == 2
