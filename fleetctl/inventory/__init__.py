"""Which hosts exist and where they stand."""

from fleetctl.inventory.inventory import Inventory, build_inventory
from fleetctl.inventory.nodesets import expand, fold

__all__ = ["Inventory", "build_inventory", "expand", "fold"]
