"""The raw ASGI application that shows and steers an asched scheduler."""

from __future__ import annotations

from asched_web.app import App, attach, create_app, lifespan
from asched_web.shutdown import install_shutdown_handlers

__all__ = ["App", "attach", "create_app", "install_shutdown_handlers", "lifespan"]
