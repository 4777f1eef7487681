"""The endpoints, one module for each resource; each has its own lines of the table."""

from __future__ import annotations

from asched_web.api import agenda, dead_letters, groups, jobs, runs, system
from asched_web.endpoint import Endpoint

__all__ = ["ENDPOINTS"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *system.ENDPOINTS,
    *agenda.ENDPOINTS,
    *jobs.ENDPOINTS,
    *runs.ENDPOINTS,
    *groups.ENDPOINTS,
    *dead_letters.ENDPOINTS,
)
