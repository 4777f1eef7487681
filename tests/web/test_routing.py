"""The path algorithm against what hosts were seen to put into a scope."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from web.driver import scope_of

from asched_web.routing import Router


class Line(NamedTuple):
    method: str
    path: str


TABLE = [
    Line("GET", "/"),
    Line("GET", "/api/jobs"),
    Line("GET", "/api/jobs/{job_id}"),
    Line("POST", "/api/jobs/{job_id}/pause"),
    Line("GET", "/api/groups/{group}/jobs"),
    Line("GET", "/static/{path...}"),
]


def resolve(path: str, raw_path: str | None, root_path: str = "", base_path: str | None = None) -> object:
    scope = scope_of("GET", "/", path=path, root_path=root_path)
    if raw_path is None:
        del scope["raw_path"]
    else:
        scope["raw_path"] = raw_path.encode()
    match = Router(TABLE, base_path=base_path).resolve(scope)
    if match is None:
        return None
    [path, *_] = {route.path for route in match.routes.values()}
    return path, dict(match.params)


JOB = ("/api/jobs/{job_id}", {"job_id": "a/b é"})
ENCODED = "/api/jobs/a%2Fb%20%C3%A9"

HOSTS = {
    "root": ("/api/jobs/a/b é", ENCODED, ""),
    "starlette mount": ("/sched/api/jobs/a/b é", "/sched" + ENCODED, "/sched"),
    "starlette mount, fastapi root_path, proxy strips": ("/sched/api/jobs/a/b é", "/sched" + ENCODED, "/proxy/sched"),
    "litestar": ("/api/jobs/a/b é/", "/sched" + ENCODED, ""),
    "quart dispatcher": ("/sched/api/jobs/a/b é", "/sched" + ENCODED, "/sched"),
    "django, root_path not set": ("/api/jobs/a/b é", "/sched" + ENCODED, ""),
    "uvicorn --root-path": ("/proxy/api/jobs/a/b é", "/proxy" + ENCODED, "/proxy"),
    "uvicorn --root-path and a mount": ("/proxy/sched/api/jobs/a/b é", "/proxy/sched" + ENCODED, "/proxy/sched"),
    "hypercorn, granian, daphne root_path": ("/api/jobs/a/b é", ENCODED, "/proxy"),
    "a mount called like the first segment": ("/api/api/jobs/a/b é", "/api" + ENCODED, "/api"),
    "a query left in raw_path": ("/api/jobs/a/b é", ENCODED + "?n=1", ""),
    "a slash at the end of root_path": ("/sched/api/jobs/a/b é", "/sched" + ENCODED, "/sched/"),
}


@pytest.mark.parametrize("host", HOSTS)
def test_an_id_with_a_slash_arrives_whole_under_every_host(host: str) -> None:
    path, raw_path, root_path = HOSTS[host]

    assert JOB == resolve(path, raw_path, root_path)


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/", ""), ("/sched/", "/sched"), ("/sched", "/sched"), ("/proxy/", "/proxy"), ("/", "/proxy")],
)
def test_the_dashboard_is_at_the_mount_point(path: str, root_path: str) -> None:
    assert ("/", {}) == resolve(path, path, root_path)


@pytest.mark.parametrize(
    ("path", "raw_path", "root_path"),
    [
        ("ule/", "/schedule/", ""),  # Litestar's mount takes every path that begins like its own
        ("/schedule", "/schedule", "/sche"),  # BlackSheep's does, too
        ("/schedule", "/schedule", "/sched"),  # and Quart's
        ("/api/nothing", "/api/nothing", ""),
        ("http://x/api/jobs", "http://x/api/jobs", ""),
        ("*", "*", ""),
        ("/api//jobs", "/api//jobs", ""),
        ("/api/../api/jobs", "/api/../api/jobs", ""),
    ],
)
def test_what_is_not_ours_is_not_found(path: str, raw_path: str, root_path: str) -> None:
    assert resolve(path, raw_path, root_path) is None


@pytest.mark.parametrize("root_path", ["", "/wrong"])
def test_base_path_holds_whatever_root_path_says(root_path: str) -> None:
    assert JOB == resolve("/x/y/api/jobs/a/b é", "/x/y" + ENCODED, root_path, base_path="/x/y/")
    assert resolve("/api/jobs", "/api/jobs", root_path, base_path="/x/y") is None


def test_without_raw_path_the_actions_are_told_from_ids_by_their_place() -> None:
    assert ("/api/jobs/{job_id}/pause", {"job_id": "a/b"}) == resolve("/api/jobs/a/b/pause", None)
    assert ("/api/jobs/{job_id}", {"job_id": "a/b"}) == resolve("/api/jobs/a/b", None)


def test_an_id_may_end_in_a_slash_or_look_like_an_action() -> None:
    assert ("/api/jobs/{job_id}", {"job_id": "a/"}) == resolve("/api/jobs/a/", "/api/jobs/a%2F")
    assert ("/api/jobs/{job_id}", {"job_id": "a/pause"}) == resolve("/api/jobs/a/pause", "/api/jobs/a%2Fpause")


def test_a_slash_at_the_end_of_an_endpoint_means_nothing() -> None:
    assert ("/api/jobs", {}) == resolve("/api/jobs/", "/api/jobs/")


def test_a_file_keeps_its_folders() -> None:
    found = ("/static/{path...}", {"path": "views/jobs.js"})

    assert found == resolve("/sched/static/views/jobs.js", "/sched/static/views/jobs.js", "/sched")
