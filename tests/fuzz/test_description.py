"""Requests made from our own OpenAPI description, right and wrong ones: answered as described, never with a 5xx."""

import json
from collections.abc import Callable, Iterator

import huggingface_hub.constants
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import Served
from tests.hub import Hub, running

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    ("/v1/images/generations", "POST", GenerationMode.NEGATIVE, 250),
    ("/v1/images/generations", "POST", GenerationMode.POSITIVE, 50),
    ("/v1/images/edits", "POST", GenerationMode.NEGATIVE, 50),
    ("/v1/images/edits", "POST", GenerationMode.POSITIVE, 25),
    ("/v1/images/variations", "POST", GenerationMode.NEGATIVE, 50),
    ("/v1/images/variations", "POST", GenerationMode.POSITIVE, 25),
    ("/v1/images/{id}", "GET", GenerationMode.POSITIVE, 25),
    ("/v1/images/{id}", "DELETE", GenerationMode.POSITIVE, 25),
    ("/v1/files", "POST", GenerationMode.NEGATIVE, 25),
    ("/v1/files", "POST", GenerationMode.POSITIVE, 25),
    ("/v1/files/{id}", "GET", GenerationMode.POSITIVE, 25),
    ("/v1/files/{id}", "DELETE", GenerationMode.POSITIVE, 25),
    ("/v1/files/{id}/content", "GET", GenerationMode.POSITIVE, 25),
    ("/v1/models/{name}", "GET", GenerationMode.POSITIVE, 50),
    ("/media/{name}", "GET", GenerationMode.POSITIVE, 50),
    ("/admin/models", "GET", GenerationMode.POSITIVE, 1),
    ("/admin/ps", "GET", GenerationMode.POSITIVE, 1),
    ("/admin/models/{name}", "GET", GenerationMode.POSITIVE, 25),
    ("/admin/models/{name}", "DELETE", GenerationMode.POSITIVE, 25),
    ("/admin/models/{name}/stop", "POST", GenerationMode.POSITIVE, 25),
    ("/admin/models/pull", "POST", GenerationMode.NEGATIVE, 50),
    ("/admin/models/pull", "POST", GenerationMode.POSITIVE, 25),
    ("/v1/models", "GET", GenerationMode.POSITIVE, 1),
    ("/metrics", "GET", GenerationMode.POSITIVE, 1),
    ("/health", "GET", GenerationMode.POSITIVE, 1),
    ("/ready", "GET", GenerationMode.POSITIVE, 1),
]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running() as hub:
        yield hub


@pytest.mark.parametrize(("path", "method", "mode", "count"), OPERATIONS)
def test_answers_are_as_described(
    serve: Callable[..., Served],
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    method: str,
    mode: GenerationMode,
    count: int,
) -> None:
    # What these fuzzed names pull from is a hub of the tests with nothing in it.
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    served = serve(admin_key="admin")
    operation = schemathesis.openapi.from_url(served.url + "/openapi.json")[path][method]

    with requests.Session() as session:
        if path.startswith("/admin"):
            session.headers["authorization"] = "Bearer admin"

        @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def check(case: Case) -> None:
            answer = case.call(session=session)
            case.validate_response(answer, checks=CHECKS)
            assert answer.headers["x-request-id"]
            if answer.status_code >= 400:
                assert set(json.loads(answer.content)["error"]) == {"message", "type", "param", "code"}

        check()


def test_every_described_operation_is_asked(server: str) -> None:
    described = requests.get(server + "/openapi.json", timeout=5).json()["paths"]
    there = {(path, method.upper()) for path, methods in described.items() for method in methods}
    assert there == {(path, method) for path, method, _, _ in OPERATIONS}
