"""What HTTP and ASGI ask of an application whatever it does."""

from __future__ import annotations

import pytest
from web.driver import Client, Exchange, scope_of
from web.sample import interval_job

from asched_web.http import MAX_BODY

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/api/jobs", "/api/status", "/healthz", "/", "/static/index.html", "/api/nope"])
async def test_head_has_the_headers_of_get_and_no_body(client: Client, path: str) -> None:
    got = await client.get(path)
    head = await client.request("HEAD", path)

    assert (got.status, b"") == (head.status, head.body)
    assert got.headers["content-type"] == head.headers["content-type"]
    if path != "/api/status":  # its length changes with the time in it
        assert got.headers["content-length"] == head.headers["content-length"]


async def test_head_of_the_stream_ends_at_once(client: Client) -> None:
    head = await client.request("HEAD", "/events")

    assert (200, "text/event-stream; charset=utf-8") == (head.status, head.headers["content-type"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/jobs", "GET, HEAD, OPTIONS, POST"),
        ("get", "/api/jobs", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("GET", "/api/jobs/j/pause", "OPTIONS, POST"),
        ("POST", "/events", "GET, HEAD, OPTIONS"),
        ("DELETE", "/static/index.html", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_there_is_answered_with_those_that_are(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)

    assert (405, allowed) == (answer.status, answer.headers["allow"])


async def test_options_names_the_methods(client: Client) -> None:
    answer = await client.request("OPTIONS", "/api/jobs/j")

    assert (204, "DELETE, GET, HEAD, OPTIONS, PUT", b"") == (answer.status, answer.headers["allow"], answer.body)


@pytest.mark.parametrize(
    "body", [b"{", b"[1,]", b"nul", b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 5000, b"{}{}"]
)
async def test_broken_json_is_400(client: Client, body: bytes) -> None:
    answer = await client.request("POST", "/api/jobs", headers=JSON, body=body)

    assert 400 == answer.status


async def test_a_body_in_many_pieces_is_one_body(client: Client) -> None:
    import json

    body = json.dumps(interval_job(job_id="j")).encode()
    pieces = [b"", *(body[i : i + 7] for i in range(0, len(body), 7)), b""]
    answer = await client.open("POST", "/api/jobs", JSON, pieces).finish()

    assert 201 == answer.status


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_one_mebibyte_is_413(client: Client, declared: bool) -> None:
    headers = JSON | ({"content-length": str(MAX_BODY + 1)} if declared else {})
    pieces = [b" " * (MAX_BODY // 4)] * 4 + [b" "]
    answer = await client.open("POST", "/api/jobs", headers, pieces).finish()

    assert (413, "close") == (answer.status, answer.headers["connection"])


async def test_http2_is_never_told_about_connections(client: Client) -> None:
    scope = scope_of("POST", "/api/jobs", JSON | {"content-length": str(MAX_BODY + 1)}, http_version="2")
    answer = await Exchange(client.app, scope, [b"x"]).finish()

    assert 413 == answer.status
    assert "connection" not in answer.headers


async def test_a_body_of_exactly_one_mebibyte_is_read(client: Client) -> None:
    answer = await client.request("POST", "/api/jobs", headers=JSON, body=b" " * (MAX_BODY - 2) + b"{}")

    assert 422 == answer.status


async def test_a_client_that_leaves_within_its_body_is_answered_with_nothing(client: Client) -> None:
    exchange = client.open("POST", "/api/jobs", JSON, [b"{", b""])
    exchange._to_app.get_nowait()
    exchange._to_app.get_nowait()
    exchange.disconnect()
    await exchange.task

    assert exchange.status is None


@pytest.mark.parametrize("path", ["/api/jobs/j/pause", "/api/dead-letters"])
async def test_an_endpoint_without_a_body_refuses_one(client: Client, path: str) -> None:
    method = "POST" if "pause" in path else "DELETE"

    assert 422 == (await client.request(method, path, json_body={"a": 1})).status


async def test_too_many_query_parameters_are_refused(client: Client) -> None:
    assert 422 == (await client.get("/api/jobs?" + "&".join(f"a{i}=1" for i in range(100)))).status


async def test_of_a_repeated_parameter_the_last_counts(client: Client) -> None:
    assert 422 == (await client.get("/api/jobs?limit=5&limit=0")).status
    assert 200 == (await client.get("/api/jobs?limit=0&limit=5")).status


async def test_a_query_in_bytes_that_are_no_utf8_is_survived(client: Client) -> None:
    assert 200 == (await client.get("/api/jobs?q=%ff%fe")).status


async def test_a_websocket_is_closed(client: Client) -> None:
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    await client.app({"type": "websocket", "path": "/events", "headers": []}, receive, send)  # type: ignore[arg-type]

    assert [{"type": "websocket.close", "code": 1000}] == sent


async def test_an_unknown_scope_is_an_error(client: Client) -> None:
    with pytest.raises(RuntimeError, match="telepathy"):
        await client.app({"type": "telepathy"}, None, None)  # type: ignore[arg-type]
