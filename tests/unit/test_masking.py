"""No password of a URL leaves in a text."""

from __future__ import annotations

import pytest

from asched.masking import masked
from asched.reports import TRACEBACK_LIMIT, describe_error, encode_result


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach postgresql://ada:hunter2@db:5432/x", "cannot reach postgresql://***@db:5432/x"),
        ("redis://:hunter2@host and http://a:b@c", "redis://***@host and http://***@c"),
        ("a://u:p:q@r@host", "a://***@host"),
        (
            "http://example.com:80/a@b, mail ada@example.com: hello",
            "http://example.com:80/a@b, mail ada@example.com: hello",
        ),
    ],
)
def test_user_and_password_of_a_url_are_masked(text: str, shown: str) -> None:
    assert shown == masked(text)


def test_long_row_of_colons_takes_linear_time() -> None:
    # In quadratic time this would take hours.
    text = "://" + ":" * 2_000_000

    assert text == masked(text)


def test_error_is_kept_without_the_password_in_message_cause_and_source_line() -> None:
    def connect(url: str) -> None:
        raise ConnectionError(f"cannot reach {url}")

    try:
        try:
            connect("postgresql://ada:hunter2@db/x")
        except ConnectionError as cause:
            raise RuntimeError("no database") from cause
    except RuntimeError as error:
        told = describe_error(error)

    assert "hunter2" not in told.traceback
    assert "cannot reach postgresql://***@db/x" in told.traceback


def test_password_is_masked_where_the_text_is_cut() -> None:
    long = describe_error(ValueError("x" * 4080 + " pg://ada:hunter2@" + "h" * 200))
    longer = describe_error(ValueError("pg://ada:hunter2@db/" + "x" * TRACEBACK_LIMIT))

    for told in (long, longer):
        assert "hunter2" not in told.message + told.traceback
        assert "ada" not in told.message


class Leave(BaseException):
    """What no ``except Exception`` catches."""


class Unreadable(Exception):
    def __str__(self) -> str:
        raise Leave

    __repr__ = __str__


def test_error_whose_message_raises_anything_is_described_all_the_same() -> None:
    told = describe_error(Unreadable())

    assert ("Unreadable", "(its message could not be read: Leave)") == (told.type, told.message)


def test_result_whose_repr_raises_anything_is_kept_all_the_same() -> None:
    assert b"whose repr raises Leave" in (encode_result(Unreadable()) or b"")
