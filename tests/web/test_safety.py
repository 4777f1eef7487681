"""Each rule of who may do what, with somebody who tries to get around it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from web.driver import Client
from web.sample import interval_job

from asched import Forbidden, InvalidArgument, Scheduler
from asched_web import create_app

MakeClient = Callable[..., Client]

TOKENS = {"see": "view", "do": "operate", "all": "edit"}
ACTIONS = [
    ("view", "GET", "/api/jobs"),
    ("view", "GET", "/api/status"),
    ("view", "GET", "/api/functions"),
    ("view", "GET", "/api/nodes"),
    ("view", "GET", "/api/history"),
    ("view", "GET", "/api/agenda"),
    ("view", "GET", "/api/groups"),
    ("view", "GET", "/api/groups/g/jobs"),
    ("view", "GET", "/api/dead-letters"),
    ("view", "GET", "/api/jobs/j"),
    ("view", "GET", "/api/jobs/j/runs"),
    ("view", "GET", "/api/jobs/j/preview"),
    ("view", "GET", "/api/runs/1"),
    ("view", "HEAD", "/api/jobs"),
    ("view", "HEAD", "/events"),
    ("view", "POST", "/api/preview"),
    ("operate", "POST", "/api/jobs/j/pause"),
    ("operate", "POST", "/api/jobs/j/resume"),
    ("operate", "POST", "/api/jobs/j/enable"),
    ("operate", "POST", "/api/jobs/j/disable"),
    ("operate", "POST", "/api/jobs/j/run"),
    ("operate", "POST", "/api/runs/1/cancel"),
    ("operate", "POST", "/api/groups/g/pause"),
    ("operate", "POST", "/api/groups/g/resume"),
    ("operate", "POST", "/api/dead-letters/1/retry"),
    ("edit", "POST", "/api/jobs"),
    ("edit", "PUT", "/api/jobs/j"),
    ("edit", "DELETE", "/api/jobs/j"),
    ("edit", "POST", "/api/jobs/j/cancel"),
    ("edit", "DELETE", "/api/groups/g"),
    ("edit", "DELETE", "/api/dead-letters"),
    ("edit", "DELETE", "/api/dead-letters/1"),
]
WRITES = [(method, path) for action, method, path in ACTIONS if action != "view"]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("action", "method", "path"), ACTIONS)
async def test_each_endpoint_needs_its_action(make_client: MakeClient, action: str, method: str, path: str) -> None:
    client = make_client(auth=TOKENS)
    rank = ["view", "operate", "edit"]

    assert 401 == (await client.request(method, path)).status
    for token, right in TOKENS.items():
        status = (await client.request(method, path, headers=bearer(token))).status
        assert (status == 403) is (rank.index(right) < rank.index(action)), (token, status)
        assert status != 401


def test_every_endpoint_is_in_the_list_above() -> None:
    from web.driver import scope_of

    from asched_web.api import ENDPOINTS
    from asched_web.routing import Router

    covered = []
    for _, method, path in ACTIONS:
        match = Router(ENDPOINTS).resolve(scope_of(method, path))
        if match is not None and method in match.routes:
            covered.append(match.routes[method])

    guarded = [endpoint for endpoint in ENDPOINTS if endpoint.action is not None]
    assert [] == [endpoint.path for endpoint in guarded if endpoint not in covered]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer nope"},
        {"authorization": "Bearer se"},
        {"authorization": "Bearer seee"},
        {"authorization": "Basic see"},
        {"authorization": "see"},
        {"cookie": "token=see"},
        [("authorization", "Bearer nope"), ("authorization", "Bearer see")],
    ],
)
async def test_nobody_gets_in_without_a_token(make_client: MakeClient, headers: Any) -> None:
    answer = await make_client(auth=TOKENS).get("/api/jobs", headers=headers)

    assert 401 == answer.status
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_in_the_url_opens_nothing(make_client: MakeClient) -> None:
    client = make_client(auth=TOKENS)

    for query in ("token=see", "access_token=see", "authorization=Bearer%20see"):
        assert 401 == (await client.get(f"/api/jobs?{query}")).status
        assert 401 == (await client.get(f"/events?{query}")).status


async def test_kept_lists_are_not_served_to_strangers(make_client: MakeClient) -> None:
    client = make_client(auth=TOKENS)
    await client.get("/api/jobs", headers=bearer("see"))
    await client.get("/api/jobs", headers=bearer("see"))

    assert 401 == (await client.get("/api/jobs")).status


async def test_all_tokens_are_compared_whichever_is_right(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hmac

    compared: list[bytes] = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: bool(compared.append(a)) or original(a, b))
    client = make_client(auth=TOKENS)
    await client.get("/api/jobs", headers=bearer("see"))
    first = len(compared)
    await client.get("/api/jobs", headers=bearer("x" * 1000))

    assert (3, 6) == (first, len(compared))
    assert {32} == {len(digest) for digest in compared}


async def test_an_auth_function_decides(make_client: MakeClient) -> None:
    asked: list[tuple[str, str]] = []

    async def auth(scope: Any, action: str) -> object:
        asked.append((scope["path"], action))
        if action == "edit":
            raise Forbidden("not you")
        return "me" if action == "view" else None

    client = make_client(auth=auth)
    statuses = [
        (await client.get("/api/jobs")).status,
        (await client.post("/api/jobs/j/pause")).status,
        (await client.delete("/api/jobs/j")).status,
    ]

    assert [200, 401, 403] == statuses
    assert [("/api/jobs", "view"), ("/api/jobs/j/pause", "operate"), ("/api/jobs/j", "edit")] == asked


async def test_an_auth_function_that_fails_lets_nobody_in_and_tells_nothing(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    def auth(scope: Any, action: str) -> object:
        raise KeyError("postgresql://u:p@h/db")

    answer = await make_client(auth=auth).get("/api/jobs")

    assert 500 == answer.status
    assert b"postgresql" not in answer.body
    assert "KeyError" in caplog.text


async def test_status_tells_what_the_token_may_do(make_client: MakeClient) -> None:
    client = make_client(auth=TOKENS)

    for token, actions in [("see", ["view"]), ("do", ["view", "operate"]), ("all", ["view", "operate", "edit"])]:
        assert actions == (await client.get("/api/status", headers=bearer(token))).json()["actions"]


async def test_health_and_the_shell_are_open_and_hold_no_data(make_client: MakeClient) -> None:
    client = make_client(auth=TOKENS)
    await client.post("/api/jobs", interval_job(job_id="secret-job"), headers=bearer("all"))

    for path in ("/healthz", "/", "/static/index.html", "/api/openapi.json"):
        answer = await client.get(path)
        assert 200 == answer.status
        assert b"secret-job" not in answer.body
    assert {"status"} == (await client.get("/healthz")).json().keys()


@pytest.mark.parametrize("auth", [{"": "view"}, {"t": "admin"}])
def test_wrong_tokens_are_refused_when_the_app_is_made(auth: Any) -> None:
    with pytest.raises(InvalidArgument):
        create_app(Scheduler(), auth=auth)


async def test_without_auth_there_is_one_warning(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    client = make_client()
    with caplog.at_level(logging.WARNING, "asched.web"):
        for _ in range(3):
            await client.get("/api/jobs")

    assert 1 == caplog.text.count("has no auth")


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_read_only_dashboard_changes_nothing(make_client: MakeClient, method: str, path: str) -> None:
    answer = await make_client(read_only=True).request(method, path)

    assert 403 == answer.status


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost:8000"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:9000"},
    {"origin": "http://localhost:8000.evil.example"},
    {"origin": "http://localhost"},
    {"origin": "file://"},
    {"origin": ""},
    [("origin", "http://localhost:8000"), ("origin", "http://evil.example")],
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_another_sites_page_changes_nothing(client: Client, method: str, path: str, headers: Any) -> None:
    answer = await client.request(method, path, headers=headers)

    assert 403 == answer.status


OWN = [
    {},
    {"sec-fetch-site": "same-origin", "origin": "http://localhost:8000"},
    {"sec-fetch-site": "none"},
    {"origin": "http://localhost:8000"},
    {"origin": "HTTP://LOCALHOST:8000"},
    {"origin": "https://localhost:8000"},  # a proxy in front ends TLS
]


@pytest.mark.parametrize("headers", OWN)
async def test_ones_own_page_and_programs_may_write(client: Client, headers: dict[str, str]) -> None:
    assert 200 == (await client.request("DELETE", "/api/dead-letters", headers=headers)).status


async def test_named_origins_may_write_and_are_answered(make_client: MakeClient) -> None:
    client = make_client(cors_origins=["https://ops.example.com"])
    headers = {"origin": "https://ops.example.com", "sec-fetch-site": "cross-site"}
    allowed = await client.request("DELETE", "/api/dead-letters", headers=headers)
    refused = await client.request("DELETE", "/api/dead-letters", headers=headers | {"origin": "https://other.example"})
    listed = await client.get("/api/jobs", headers=headers)
    again = await client.get("/api/jobs", headers=headers)

    assert (200, 403) == (allowed.status, refused.status)
    for answer in (allowed, listed, again):
        assert "https://ops.example.com" == answer.headers["access-control-allow-origin"]
        assert "Origin" == answer.headers["vary"]
    assert "access-control-allow-origin" not in refused.headers
    assert "access-control-allow-credentials" not in allowed.headers


async def test_a_preflight_is_answered_for_named_origins_only(make_client: MakeClient) -> None:
    client = make_client(cors_origins=["https://ops.example.com"])
    ask = {"access-control-request-method": "PUT"}
    named = await client.request("OPTIONS", "/api/jobs/j", headers=ask | {"origin": "https://ops.example.com"})
    other = await client.request("OPTIONS", "/api/jobs/j", headers=ask | {"origin": "https://evil.example"})

    assert 204 == named.status
    assert "PUT" in named.headers["access-control-allow-methods"]
    assert "if-match" in named.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers


async def test_without_cors_origins_no_cors_header_is_sent(client: Client) -> None:
    answer = await client.get("/api/jobs", headers={"origin": "http://localhost:8000"})

    assert [] == [name for name in answer.headers if name.startswith("access-control")]


HOSTS = [("localhost:8000@evil.example", 421), ("localhost:x", 421), ("[::1", 421), ("evil.example", 421),
         ("evil.example:8000", 421), ("", 421), ("localhost.evil.example", 421),
         ("127.0.0.1.evil.example", 421), ("127.0.0.1", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200),
         ("localhost", 200), ("LOCALHOST:1", 200), ("10.1.2.3", 200)]  # fmt: skip


@pytest.mark.parametrize(("host", "status"), HOSTS)
async def test_a_name_that_dns_was_made_to_point_here_changes_nothing(client: Client, host: str, status: int) -> None:
    answer = await client.request("DELETE", "/api/dead-letters", headers={"host": host})

    assert status == answer.status
    if status == 421:
        assert "allowed_hosts" in answer.json()["detail"]


@pytest.mark.parametrize(("host", "status"), [*HOSTS, ("testserver", 200)])
@pytest.mark.parametrize("path", ["/", "/api/jobs", "/api/status", "/events"])
async def test_a_name_that_dns_was_made_to_point_here_reads_nothing(
    client: Client, path: str, host: str, status: int
) -> None:
    # The list is encoded and kept for somebody who may have it.
    await client.get("/api/jobs")
    if path == "/events" and status == 200:
        return  # a stream; that it opens is what every test of streams shows
    answer = await client.get(path, headers={"host": host})

    assert status == answer.status


@pytest.mark.parametrize("path", ["/healthz", "/static/app.js"])
async def test_health_and_static_files_are_open_to_any_name(client: Client, path: str) -> None:
    assert 200 == (await client.get(path, headers={"host": "evil.example"})).status


async def test_allowed_hosts_and_auth_vouch_for_a_name(make_client: MakeClient) -> None:
    headers = {"host": "jobs.example.com", "origin": "https://jobs.example.com"}

    assert (
        200
        == (
            await make_client(allowed_hosts=["jobs.example.com"]).request(
                "DELETE", "/api/dead-letters", headers=headers
            )
        ).status
    )
    assert (
        200
        == (
            await make_client(auth=TOKENS).request("DELETE", "/api/dead-letters", headers=headers | bearer("all"))
        ).status
    )


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"],
)
async def test_a_body_that_a_form_could_send_is_refused(client: Client, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await client.request("POST", "/api/jobs", headers=headers, body=b'{"a":1}')

    assert 415 == answer.status


async def test_json_with_a_charset_is_json(client: Client) -> None:
    answer = await client.request(
        "POST", "/api/jobs", headers={"content-type": "Application/JSON; charset=utf-8"}, body=b"{}"
    )

    assert 422 == answer.status


async def test_hidden_words_mask_arguments_at_any_depth(make_client: MakeClient) -> None:
    client = make_client()
    kwargs = {
        "password": "p",
        "dbPassword": "p",
        "API_KEY": "p",
        "nested": [{"auth-token": "p", "plain": "seen"}],
        "monkey": "seen",
        "url": "redis://:hunter2@host/0 and https://user:hunter2@x/y",
    }
    await client.post("/api/jobs", interval_job(job_id="j", kwargs=kwargs))
    answer = await client.get("/api/jobs/j")
    shown = answer.json()["job"]["kwargs"]

    assert b"hunter2" not in answer.body
    assert ["***"] * 3 == [shown["password"], shown["dbPassword"], shown["API_KEY"]]
    assert [{"auth-token": "***", "plain": "seen"}] == shown["nested"]
    assert "seen" == shown["monkey"]


async def test_the_hidden_words_can_be_chosen(make_client: MakeClient) -> None:
    client = make_client(redact=["iban"])
    await client.post("/api/jobs", interval_job(job_id="j", kwargs={"iban": "x", "password": "y"}))

    assert {"iban": "***", "password": "y"} == (await client.get("/api/jobs/j")).json()["job"]["kwargs"]


async def test_the_shell_allows_no_inline_code_and_no_frame(client: Client) -> None:
    headers = (await client.get("/")).headers
    policy = headers["content-security-policy"]

    assert "unsafe" not in policy
    for rule in (
        "default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
        "require-trusted-types-for 'script'",
    ):  # fmt: skip
        assert rule in policy
    assert ("nosniff", "DENY", "no-referrer") == (
        headers["x-content-type-options"], headers["x-frame-options"], headers["referrer-policy"],
    )  # fmt: skip


async def test_every_answer_says_that_its_type_is_meant(client: Client) -> None:
    for path in ("/api/jobs", "/api/status", "/api/nope", "/healthz", "/", "/api/openapi.json"):
        assert "nosniff" == (await client.get(path)).headers["x-content-type-options"], path


async def test_only_registered_functions_can_be_named(client: Client) -> None:
    for module, name in [("os", "system"), ("builtins", "eval"), ("web.sample", "__dict__"), ("", "work")]:
        answer = await client.post("/api/jobs", interval_job(func_module=module, func_name=name))
        assert 422 == answer.status


@pytest.mark.parametrize("hosts", [("evil.example", "localhost:8000"), ("localhost:8000", "evil.example")])
async def test_two_host_lines_are_no_host_that_is_trusted(client: Client, hosts: tuple[str, str]) -> None:
    answer = await client.request("DELETE", "/api/dead-letters", headers=[("host", host) for host in hosts])

    assert 421 == answer.status
