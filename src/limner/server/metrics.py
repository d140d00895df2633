"""GET /metrics: what the server does, as Prometheus reads it. No label is a prompt, a key or anything of a client's."""

import itertools
import platform
from collections.abc import Iterable, Iterator

from fastapi import APIRouter, Response

from limner import __version__
from limner.server import schema
from limner.server.auth import with_key
from limner.server.context import Context, Here
from limner.server.traffic import BOUNDS

router = APIRouter(dependencies=with_key, tags=["state"])
# As the exposition format asks for it.
TEXT = "text/plain; version=0.0.4; charset=utf-8"
ORIGINS = ("hit", "joined", "miss", "off")
# Labels and a value.
Sample = tuple[dict[str, str], float]


@router.get(
    "/metrics",
    summary="What the server does, for Prometheus",
    response_class=Response,
    responses={200: {"description": "The figures", "content": {"text/plain": {}}}, **schema.problems(401)},
)
async def metrics(here: Here) -> Response:
    """Counters since the start, and how things stand. Needs the key where the server has one."""
    families = itertools.chain(_server(here), _drawn(here), _lines(here), _cache(here))
    return Response("".join(families), headers={"content-type": TEXT})


def _server(here: Context) -> Iterator[str]:
    build = {"version": __version__, "python": platform.python_version()}
    ready = here.studio.ready and not here.life.draining
    answers = here.traffic.answers.items()
    yield _gauge("build_info", "This program.", [(build, 1)])
    yield _gauge("ready", "Whether work is taken.", [({}, ready)])
    yield _gauge("requests_in_flight", "Requests for pictures that are worked on.", [({}, here.life.in_flight)])
    yield _counter(
        "http_requests",
        "Answers by method and status.",
        [({"method": method, "status": str(status)}, count) for (method, status), count in answers],
    )
    counts = list(itertools.accumulate(here.traffic.took))
    bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    name = "limner_http_request_duration_seconds"
    yield _head(name, "histogram", "POST requests, from their headers to the end of their answers.")
    yield _samples(f"{name}_bucket", [({"le": bound}, count) for bound, count in zip(bounds, counts, strict=True)])
    yield _samples(f"{name}_sum", [({}, here.traffic.seconds)])
    yield _samples(f"{name}_count", [({}, counts[-1])])


def _drawn(here: Context) -> Iterator[str]:
    tally = here.studio.tally
    went = tally.requests.items()
    yield _counter(
        "generations",
        "Requests that went to an engine, by what became of them.",
        [({"model": model, "outcome": outcome}, count) for (model, outcome), count in went],
    )
    pictures = [({"model": model}, float(count)) for model, count in tally.pictures.items()]
    yield _counter("images", "Pictures that were drawn.", pictures)
    seconds = [({"model": model}, spent) for model, spent in tally.seconds.items()]
    yield _counter("engine_seconds", "Seconds that engines have spent.", seconds)
    yield _counter("encode_seconds", "Seconds that threads have spent on files.", [({}, here.studio.encoders.seconds)])


def _lines(here: Context) -> Iterator[str]:
    easels = [({"models": " ".join(easel.models)}, easel.line) for easel in here.studio.easels()]
    yield _gauge("queue_depth", "Requests that wait.", [(models, line.waiting) for models, line in easels])
    wait = [(models, line.wait()) for models, line in easels]
    yield _gauge("queue_wait_seconds", "Seconds until all that is here now would be done, as reckoned.", wait)
    yield _gauge(
        "engine_running", "Requests that are being drawn.", [(models, line.running) for models, line in easels]
    )


def _cache(here: Context) -> Iterator[str]:
    cache, origins = here.studio.cache, here.studio.tally.origins
    results = [({"result": origin}, float(origins[origin])) for origin in ORIGINS]
    yield _counter("cache_requests", "Requests for pictures, by x-limner-cache.", results)
    yield _gauge("cache_bytes", "Bytes of kept pictures.", [({}, cache.held)])
    yield _gauge("cache_images", "Kept pictures.", [({}, len(cache))])
    yield _counter("cache_evictions", "Kept pictures that went to make room.", [({}, cache.evicted)])


def _gauge(name: str, about: str, samples: Iterable[Sample]) -> str:
    return _head(f"limner_{name}", "gauge", about) + _samples(f"limner_{name}", samples)


def _counter(name: str, about: str, samples: Iterable[Sample]) -> str:
    return _head(f"limner_{name}_total", "counter", about) + _samples(f"limner_{name}_total", samples)


def _head(name: str, kind: str, about: str) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def _samples(name: str, samples: Iterable[Sample]) -> str:
    lines: list[str] = []
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{told}}} {float(value):.15g}\n" if told else f"{name} {float(value):.15g}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
