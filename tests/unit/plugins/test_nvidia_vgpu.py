"""A virtual GPU in a guest says that it is a part of a card; a passed-through card does not."""

import pytest

from fleetctl.model.probe import Output
from fleetctl_nvidia.parsers import parse_xml

TEXT = """<?xml version="1.0" ?>
<nvidia_smi_log><attached_gpus>1</attached_gpus><gpu id="00000000:02:00.0">
<product_name>GRID A100D-20C</product_name><uuid>GPU-9a9a6c50-2a47-2f51-a902-b82c3b127e94</uuid>
<gpu_virtualization_mode><virtualization_mode>{mode}</virtualization_mode></gpu_virtualization_mode>
<pci><pci_bus_id>00000000:02:00.0</pci_bus_id></pci>
<fb_memory_usage><total>20480 MiB</total><used>1 MiB</used></fb_memory_usage></gpu></nvidia_smi_log>"""


@pytest.mark.parametrize(("mode", "partition"), [("VGPU", "GRID A100D-20C"), ("Pass-Through", None), ("None", None)])
def test_a_virtual_gpu_is_a_part(mode: str, partition: str | None) -> None:
    (reading,) = parse_xml(Output(TEXT.format(mode=mode))).readings
    assert reading.device.partition == partition
    assert reading.values["mem_total_bytes"] == 20480 * 2**20
