"""The dashboard's files: found under their names, compressed, and told 304."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from web.driver import Client

import asched_web

ROOT = Path(asched_web.__file__).parent / "static"
SERVED = [".html", ".js", ".mjs", ".css", ".json", ".svg", ".png", ".ico", ".woff2", ".webmanifest"]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.suffix in SERVED)


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_as_it_is(client: Client, name: str) -> None:
    plain = await client.get(f"/static/{name}")
    small = await client.get(f"/static/{name}", headers={"accept-encoding": "br, gzip;q=0.5"})
    body = gzip.decompress(small.body) if "content-encoding" in small.headers else small.body

    assert (ROOT / name).read_bytes() == plain.body == body
    assert "Accept-Encoding" == plain.headers["vary"]


async def test_the_tag_answers_304_for_its_own_encoding(client: Client) -> None:
    plain = await client.get("/")
    again = await client.get("/", headers={"if-none-match": plain.headers["etag"]})
    changed = await client.get("/", headers={"if-none-match": '"x"'})

    assert [304, 200] == [again.status, changed.status]
    assert plain.headers["etag"] == again.headers["etag"]
    assert b"" == again.body


@pytest.mark.parametrize("accepted", ["gzip;q=0", "identity", "br", "gzip;q=0.0", ""])
async def test_who_takes_no_gzip_gets_none(client: Client, accepted: str) -> None:
    assert "content-encoding" not in (await client.get("/", headers={"accept-encoding": accepted})).headers


@pytest.mark.parametrize(
    "path", ["/static/", "/static", "/static/../app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/.."]
)
async def test_nothing_else_on_the_disk_is_served(client: Client, path: str) -> None:
    assert 404 == (await client.get(path)).status


@pytest.mark.parametrize(
    ("target", "location"),
    [("/scheduler", "./scheduler/"), ("/a/scheduler?x=1", "./scheduler/?x=1"), ("/a%2Fb", "./a%2Fb/")],
)
async def test_the_dashboard_without_its_slash_leads_to_it_by_a_relative_way(
    client: Client, target: str, location: str
) -> None:
    from urllib.parse import unquote

    client.scope = {"root_path": unquote(target.partition("?")[0])}
    answer = await client.get(target)

    assert (307, location) == (answer.status, answer.headers["location"])


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "//evil.example/.."])
async def test_no_path_makes_the_redirect_lead_elsewhere(client: Client, target: str) -> None:
    client.scope = {"root_path": target}
    answer = await client.get(target)

    assert answer.status == 404 or answer.headers["location"].startswith("./")
