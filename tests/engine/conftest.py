"""The demo fleet as a fixture of these tests."""

from tests.fakes.live_fleet import fleet

__all__ = ["fleet"]
