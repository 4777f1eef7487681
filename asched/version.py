"""The version, in the one place that code and packaging read."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"
