"""Every error that asched raises has a status."""

from __future__ import annotations

import asched
import asched.errors
from asched.errors import AschedError
from asched_web.http import _STATUS, masked, problem_of
from asched_web.schema import pointer_of

# Raised inside jobs, never by a call from here.
NOT_ANSWERED = {"Abort", "AschedError"}


def test_every_error_has_a_row() -> None:
    errors = {name for name in asched.errors.__all__ if issubclass(getattr(asched.errors, name), AschedError)}

    assert errors - NOT_ANSWERED == {kind.__name__ for kind in _STATUS}


def test_an_error_without_a_row_is_a_bug() -> None:
    assert problem_of(asched.Abort("x"), pointer_of) is None


def test_fields_become_json_pointers() -> None:
    assert "/kwargs/when/2" == pointer_of("kwargs.when[2]")
    assert "/schedule_config/interval" == pointer_of("schedule_config.interval")
    assert "/job_id" == pointer_of("id")
    assert "/kwargs/a~1b" == pointer_of("kwargs.a/b")
    assert "" == pointer_of("")


def test_users_and_passwords_in_urls_are_masked() -> None:
    assert "postgresql://***@h:5/db, redis://***@x" == masked("postgresql://u:p@h:5/db, redis://:p@x")
    assert "http://example.com/a@b" == masked("http://example.com/a@b")


def test_a_problem_never_tells_a_password() -> None:
    problem = problem_of(asched.StoreUnavailable("cannot reach postgresql://u:hunter2@h/db"), pointer_of)

    assert problem is not None
    assert b"hunter2" not in problem.response().body
