"""Malformed bodies by the thousand: never a 5xx, and every answer that is not a success is the error object."""

import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from limner.server.fields import FIELDS
from tests.fuzz.conftest import KEYS, Application

# One application serves all examples of a test: it keeps nothing between requests but pictures.
QUIET: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def well_answered(answer: httpx2.Response) -> None:
    """A success with a picture, or the caller's fault and said so."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-request-id"]
    answer.headers.get("x-limner-ignored", "").encode("ascii")
    if answer.headers["content-type"].startswith("text/event-stream"):
        # A body that asked for a stream and was right: the picture is in the last event.
        assert answer.status_code == 200
        last = answer.text.rstrip().rpartition("\n\n")[2]
        assert last.startswith("event: image_generation.completed\ndata: {")
        return
    body = json.loads(answer.content)
    if answer.status_code == 200:
        assert body["data"]
    else:
        assert set(body) == {"error"}
        assert set(body["error"]) == KEYS
        assert body["error"]["type"] == "invalid_request_error"
        # A text with a lone surrogate in it breaks whoever prints it.
        body["error"]["message"].encode()


# Lone surrogates included: they are valid in JSON's escapes.
TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["", "a cat", "64x64", "1e400", "-1", "٣", "NaN", "\x00", "url", "flux", "true", "80x80", "²x²", "9" * 30]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 12)
    | st.sampled_from([10**30, -(10**400), 2**63, -(2**63), 2**32])
    | st.floats(allow_nan=True, allow_infinity=True)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
NAMES = st.sampled_from([name for field in FIELDS for name in (field.name, *field.aliases)])
OBJECTS = st.dictionaries(NAMES | TEXT, VALUES, max_size=6)
NEARLY_RIGHT = st.builds(lambda more: {"prompt": "a cat"} | more, st.dictionaries(NAMES, SCALARS, max_size=3))


def encoded(value: Any) -> bytes:
    # NaN and Infinity come out as such, lone surrogates as escapes.
    return json.dumps(value).encode()


@settings(max_examples=500, **QUIET)
@example({"n": 1e400})
@example({"prompt": "a", "n": 1e400})
@example({"prompt": "\ud800"})
@example({"prompt": "a", "model": "\udfff"})
@example({"prompt": "a", "\ud800": 1})
@example({"prompt": "a", "size": "²x²"})
@example({"prompt": "a", "n": "٣"})
@given(OBJECTS)
def test_objects(application: Application, body: dict[str, Any]) -> None:
    well_answered(application.post(encoded(body)))


@settings(max_examples=500, **QUIET)
@example({"prompt": "a", "guidance_scale": float("inf")})
@example({"prompt": "a", "width": 10**30, "height": -(10**400)})
@given(NEARLY_RIGHT)
def test_objects_with_a_prompt(application: Application, body: dict[str, Any]) -> None:
    well_answered(application.post(encoded(body)))


@settings(max_examples=250, **QUIET)
@given(VALUES)
def test_any_json(application: Application, value: Any) -> None:
    well_answered(application.post(encoded(value)))


@settings(max_examples=250, **QUIET)
@example(b'{"n": 1e400}')
@example(b'{"prompt": "a", "n": 1e400}')
@example(b'{"prompt": "\\ud800"}')
@example(b'{"prompt": "a\xed\xa0\x80"}')
@example(b'{"a":' * 100_000)
@example(b"9" * 10_000)
@given(st.binary(max_size=60) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(str.encode))
def test_any_bytes(application: Application, body: bytes) -> None:
    well_answered(application.post(body))


@settings(max_examples=200, **QUIET)
@given(OBJECTS, st.integers(0, 400), st.binary(max_size=4))
def test_damaged_json(application: Application, body: dict[str, Any], at: int, damage: bytes) -> None:
    whole = encoded(body)
    well_answered(application.post(whole[: at % len(whole)] + damage + whole[at % len(whole) + 1 :]))


@settings(max_examples=100, **QUIET)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_any_content_type(application: Application, kind: str) -> None:
    well_answered(application.post(b'{"prompt": "a", "n": 3}', {"content-type": kind}))
