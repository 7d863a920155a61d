"""nvidia-smi -q -x as driver 570 prints it (nvsmi_device_v12.dtd), the parts that say something about a card."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from fleetctl_demo.machine import Card

_HEAD = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
\t<timestamp>Sat Nov 21 00:00:00 2026</timestamp>
\t<driver_version>{driver}</driver_version>
\t<cuda_version>12.8</cuda_version>
\t<attached_gpus>{count}</attached_gpus>
"""
_GPU = """\t<gpu id="0000{pci}">
\t\t<product_name>{name}</product_name>
\t\t<mig_mode><current_mig>{mig}</current_mig><pending_mig>{mig}</pending_mig></mig_mode>
\t\t<mig_devices>None</mig_devices>
\t\t<serial>{serial}</serial>
\t\t<uuid>GPU-{uuid}</uuid>
\t\t<minor_number>{index}</minor_number>
\t\t<vbios_version>96.00.89.00.01</vbios_version>
\t\t<pci>
\t\t\t<pci_bus_id>0000{pci}</pci_bus_id>
\t\t\t<pci_gpu_link_info>
\t\t\t\t<pcie_gen><max_link_gen>{gen}</max_link_gen><current_link_gen>{gen}</current_link_gen></pcie_gen>
\t\t\t\t<link_widths><max_link_width>16x</max_link_width><current_link_width>16x</current_link_width></link_widths>
\t\t\t</pci_gpu_link_info>
\t\t\t<replay_counter>0</replay_counter>
\t\t</pci>
\t\t<fan_speed>N/A</fan_speed>
\t\t<performance_state>{pstate}</performance_state>
\t\t<fb_memory_usage><total>{total} MiB</total><reserved>551 MiB</reserved><used>{used} MiB</used><free>{free} MiB</free></fb_memory_usage>
\t\t<utilization><gpu_util>{util} %</gpu_util><memory_util>{mem_util} %</memory_util></utilization>
\t\t<ecc_mode><current_ecc>{ecc_mode}</current_ecc><pending_ecc>{ecc_mode}</pending_ecc></ecc_mode>
\t\t<ecc_errors>
\t\t\t<volatile><sram_correctable>0</sram_correctable><sram_uncorrectable>0</sram_uncorrectable><dram_correctable>{corrected}</dram_correctable><dram_uncorrectable>{uncorrected}</dram_uncorrectable></volatile>
\t\t\t<aggregate><sram_correctable>0</sram_correctable><sram_uncorrectable>0</sram_uncorrectable><dram_correctable>{life}</dram_correctable><dram_uncorrectable>{uncorrected}</dram_uncorrectable></aggregate>
\t\t</ecc_errors>
\t\t<remapped_rows><remapped_row_corr>0</remapped_row_corr><remapped_row_unc>{remapped}</remapped_row_unc><remapped_row_pending>{pending}</remapped_row_pending><remapped_row_failure>No</remapped_row_failure></remapped_rows>
\t\t<temperature><gpu_temp>{temp} C</gpu_temp><memory_temp>{mem_temp} C</memory_temp></temperature>
\t\t<gpu_power_readings><power_state>{pstate}</power_state><power_draw>{power:.2f} W</power_draw><current_power_limit>{cap:.2f} W</current_power_limit></gpu_power_readings>
\t\t<clocks><graphics_clock>{clock} MHz</graphics_clock><sm_clock>{clock} MHz</sm_clock><mem_clock>2619 MHz</mem_clock></clocks>
\t\t<max_clocks><graphics_clock>{clock_max} MHz</graphics_clock><sm_clock>{clock_max} MHz</sm_clock></max_clocks>
\t\t<processes>{processes}</processes>
\t</gpu>
"""


def text(cards: Sequence[Card], attached: int, driver: str, generation: str) -> str:
    """The whole document. attached: cards the driver counts, the lost ones included."""
    out = [_HEAD.format(driver=driver, count=attached)]
    for card in cards:
        ecc = "GeForce" not in card.type.name
        processes = "".join(
            f"<process_info><gpu_instance_id>N/A</gpu_instance_id><pid>{pid}</pid><type>C</type>"
            f"<process_name>{escape(name)}</process_name><used_memory>{mem} MiB</used_memory></process_info>"
            for pid, name, mem in card.processes
        )
        out.append(
            _GPU.format(
                pci=card.pci.upper(),
                name=card.type.name,
                mig="Disabled" if "A100" in card.type.name or "H100" in card.type.name else "N/A",
                serial=card.serial if ecc else "N/A",
                uuid=card.uuid,
                index=card.index,
                gen=generation,
                pstate="P0" if card.util_pct else "P8",
                total=card.type.mem_mib,
                used=card.mem_used_mib,
                free=card.type.mem_mib - card.mem_used_mib,
                util=card.util_pct,
                mem_util=int(card.util_pct * 0.6),
                ecc_mode="Enabled" if ecc else "N/A",
                corrected=card.ecc_corrected if ecc else "N/A",
                uncorrected=card.ecc_uncorrected if ecc else "N/A",
                life=card.ecc_corrected * 4 if ecc else "N/A",
                remapped=int(card.ecc_uncorrected > 0),
                pending="Yes" if card.ecc_uncorrected else "No",
                temp=card.temp_c,
                mem_temp=card.mem_temp_c if "HBM" in card.type.name or "SXM" in card.type.name else "N/A",
                power=card.power_w,
                cap=card.type.cap_w,
                clock=card.clock_mhz,
                clock_max=card.type.clock_mhz,
                processes=processes,
            )
        )
    out.append("</nvidia_smi_log>\n")
    return "".join(out)
