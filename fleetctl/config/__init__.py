"""fleet.toml -> one frozen Config."""

from fleetctl.config.loading import config_places, find_config, load_config, parse_config
from fleetctl.config.schema import Config

__all__ = ["Config", "config_places", "find_config", "load_config", "parse_config"]
