"""``python -m asched`` and the command ``asched``."""

from __future__ import annotations

import sys

from asched.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
