"""GET /metrics: every line is one that Prometheus reads, and the figures are what happened."""

import re
from collections.abc import Awaitable, Callable

import httpx2

from tests.conftest import Called

PATH = "/v1/images/generations"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+|\+Inf|NaN)')


async def figures(client: httpx2.AsyncClient) -> dict[str, float]:
    """Name and labels -> value; every line, and the order of lines, checked against the text format."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    family = ""
    for line in answer.text.splitlines():
        if line.startswith("#"):
            _, word, name, rest = line.split(" ", 3)
            if word == "HELP":
                assert name not in kinds, "a family stands together"
                family = name
            else:
                assert (word, name) == ("TYPE", family)
                kinds[name] = rest
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        suffix = match[1].removeprefix(family)
        assert match[1].startswith(family)
        assert suffix in (("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",))
        assert family.endswith("_total") == (kinds[family] == "counter")
        assert line.rpartition(" ")[0] not in found
        found[line.rpartition(" ")[0]] = float(match[3])
    return found


async def test_a_fresh_server_has_figures_too(client: httpx2.AsyncClient) -> None:
    found = await figures(client)
    assert found["limner_ready"] == 1
    assert found["limner_cache_bytes"] == 0
    assert found['limner_queue_depth{models="limner-mini"}'] == 0
    assert found["limner_http_request_duration_seconds_count"] == 0
    assert [name for name in found if name.startswith("limner_build_info{version=")]


async def test_what_happened_is_counted(called: Called) -> None:
    for body in ({"seed": 7}, {"seed": 7}, {"n": 2}, {"prompt": "explode"}, {"n": 99}):
        await called.client.post(PATH, json={"prompt": "a cat", **body})
    found = await figures(called.client)
    assert found['limner_generations_total{model="limner-mini",outcome="succeeded"}'] == 2
    assert found['limner_generations_total{model="limner-mini",outcome="failed"}'] == 1
    assert found['limner_images_total{model="limner-mini"}'] == 3
    assert found['limner_engine_seconds_total{model="limner-mini"}'] > 0
    assert found["limner_encode_seconds_total"] > 0
    cache = {
        result: found[f'limner_cache_requests_total{{result="{result}"}}']
        for result in ("hit", "miss", "joined", "off")
    }
    assert cache == {"hit": 1, "miss": 1, "joined": 0, "off": 2}
    assert found["limner_cache_images"] == 1
    assert found["limner_cache_bytes"] > 0
    answers = {
        status: found[f'limner_http_requests_total{{method="POST",status="{status}"}}'] for status in (200, 400, 500)
    }
    assert answers == {200: 3, 400: 1, 500: 1}
    assert found["limner_http_request_duration_seconds_count"] == 5
    assert found['limner_http_request_duration_seconds_bucket{le="+Inf"}'] == 5
    assert 0 < found["limner_http_request_duration_seconds_sum"] < 60


async def test_strange_methods_make_no_figures_of_their_own(client: httpx2.AsyncClient) -> None:
    for method in ("BREW", "PROPFIND", "PURGE"):
        await client.request(method, "/health")
    found = await figures(client)
    assert found['limner_http_requests_total{method="other",status="405"}'] == 3


async def test_it_needs_the_key_where_there_is_one(call: Callable[..., Awaitable[Called]]) -> None:
    client = (await call(api_key="right")).client
    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get("/metrics", headers={"authorization": "Bearer right"})).status_code == 200
