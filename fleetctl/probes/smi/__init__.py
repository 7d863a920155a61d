"""Readers for the family of tools that print as one well-known `-smi` does: query CSV, `-q`, `-q -x`, table, `-L`.

Several vendors cloned its forms with other words; each states its words in a `Family` and gets all readers.
"""

from fleetctl.probes.smi.csv_form import csv_parser
from fleetctl.probes.smi.family import Family
from fleetctl.probes.smi.list_form import list_parser
from fleetctl.probes.smi.table_form import table_parser
from fleetctl.probes.smi.text_form import text_parser
from fleetctl.probes.smi.xml_form import xml_parser

__all__ = ["Family", "csv_parser", "list_parser", "table_parser", "text_parser", "xml_parser"]
