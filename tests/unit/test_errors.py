"""The error tree: what a server writes, a client raises again."""

import pytest

from limner import errors
from limner.errors import (
    AuthenticationError,
    InvalidRequestError,
    LimnerError,
    ModelNotFoundError,
    QueueFullError,
    RateLimitError,
    ServerError,
    from_response,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, LimnerError) and kind is not LimnerError
]
SENT = [kind for kind in KINDS if kind not in (errors.ConnectionFailedError, errors.PortTakenError)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_object_always_has_its_four_keys(kind: type[LimnerError]) -> None:
    body = kind("It broke.", param="size").body()
    assert body == {"error": {"message": "It broke.", "type": kind.type, "param": "size", "code": kind.default_code}}


@pytest.mark.parametrize("kind", SENT)
def test_the_client_raises_the_class_that_the_server_raised(kind: type[LimnerError]) -> None:
    error = from_response(kind.status, kind("It broke.", param="n").body(), request_id="req_1")
    assert type(error) is kind
    assert (error.message, error.param, error.request_id) == ("It broke.", "n", "req_1")


def test_codes_tell_classes_of_one_status_apart() -> None:
    pairs = [(kind.status, kind.default_code) for kind in SENT]
    assert len(set(pairs)) == len(pairs)


def test_a_special_code_survives() -> None:
    body = InvalidRequestError("Too large.", param="n", code="integer_above_max_value").body()
    error = from_response(400, body)
    assert type(error) is InvalidRequestError
    assert error.code == "integer_above_max_value"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, None, InvalidRequestError),
        (401, "<html>", AuthenticationError),
        (404, {"detail": "Not Found"}, errors.NotFoundError),
        (418, {}, InvalidRequestError),
        (429, {"error": "slow down"}, RateLimitError),
        (500, {"error": None}, ServerError),
        (502, "<html>Bad Gateway", ServerError),
        (599, [], ServerError),
    ],
)
def test_an_answer_without_an_error_object_still_has_a_class(
    status: int, body: object, kind: type[LimnerError]
) -> None:
    error = from_response(status, body)
    assert type(error) is kind
    assert str(status) in error.message


def test_families_can_be_caught_by_their_root() -> None:
    assert issubclass(ModelNotFoundError, InvalidRequestError)
    assert issubclass(QueueFullError, RateLimitError)
    assert issubclass(errors.NotReadyError, ServerError)


@pytest.mark.parametrize("kind", KINDS)
def test_exit_codes_are_those_of_the_command_line(kind: type[LimnerError]) -> None:
    assert kind.exit_code in {1, 2, 3, 4, 5, 6, 7}


def test_statuses_are_those_that_sdks_retry_or_do_not() -> None:
    """openai-python sends 408, 409, 429 and 5xx again by itself: no lasting error may have one of these."""
    lasting = [InvalidRequestError, errors.NotFoundError, AuthenticationError, errors.PermissionDeniedError]
    assert not {kind.status for kind in lasting} & {408, 409, 429, 500, 503}
