"""Queueing, hanging up, and stopping: real servers, real sockets, real signals."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.errors import PortTakenError
from limner.server import create_app
from limner.server.run import Server
from limner.settings import Settings
from limner.store import MemoryStore
from limner.studio import Studio
from tests.conftest import Served, until
from tests.fakes import GradientEngine
from tests.sending import hang_up

PATH = "/v1/images/generations"
ROOT = Path(__file__).parents[2]
# A server process with the model-free engine; a step takes argv[1] seconds, the rest are settings as JSON.
PROCESS = """
import json, sys
from limner.errors import LimnerError
from limner.server import create_app
from limner.server.run import run
from limner.settings import Settings
from limner.store import MemoryStore
from limner.studio import Studio
from tests.fakes import GradientEngine
settings = Settings.load(**json.loads(sys.argv[2]))
app = create_app(Studio([GradientEngine(float(sys.argv[1]))]), MemoryStore(), settings)
try:
    run(app, settings, started=lambda url: print(url, flush=True))
except LimnerError as error:
    print(error.message, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@contextmanager
def process(seconds: float, **settings: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server process and its base URL."""
    command = [sys.executable, "-c", PROCESS, str(seconds), json.dumps({"port": 0, **settings})]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            yield started, started.stdout.readline().strip()
        finally:
            started.kill()


def in_background(url: str, **body: Any) -> tuple[threading.Thread, list[httpx2.Response]]:
    """Post from a thread; the list gets the answer."""
    answers: list[httpx2.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(httpx2.post(url + PATH, json={"prompt": "a", **body}, timeout=30))
    )
    thread.start()
    return thread, answers


def two_in_line(url: str, steps: int) -> Callable[[], list[int]]:
    """One request at the engine and one that waits; the function waits for both and gives their statuses."""
    both = [in_background(url, steps=steps) for _ in range(2)]
    until(lambda: ready(url)[1]["queue"]["waiting"] == 1)

    def statuses() -> list[int]:
        for thread, _ in both:
            thread.join()
        return [answers[0].status_code for _, answers in both]

    return statuses


def ready(url: str) -> tuple[int, dict[str, Any]]:
    answer = httpx2.get(url + "/ready")
    return answer.status_code, answer.json()


def test_a_full_line_is_429_with_the_time_to_wait(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.3, max_queue=1)
    threads = [in_background(served.url, steps=4)[0]]
    until(lambda: served.engine.stepped)
    threads.append(in_background(served.url, steps=1)[0])
    until(lambda: ready(served.url)[1]["queue"]["waiting"] == 1)
    answer = httpx2.post(served.url + PATH, json={"prompt": "a"})
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_error", "queue_full", None)
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert int(answer.headers["retry-after-ms"]) <= 120_000
    assert answer.headers["x-request-id"]
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_hanging_up_stops_the_engine_within_a_step(serve: Callable[..., Served], how: str) -> None:
    served = serve(seconds=0.2)
    hang_up(served, {"prompt": "a", "steps": 50}, reset=how == "reset")


def test_hanging_up_gives_the_place_in_the_line_back(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.1)
    thread, answers = in_background(served.url, steps=20)
    until(lambda: served.engine.stepped)
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(served.url + PATH, json={"prompt": "a"}, timeout=0.3)
    until(lambda: ready(served.url)[1]["queue"]["waiting"] == 0)
    thread.join()
    assert answers[0].status_code == 200
    assert served.engine.stepped == 20


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_server_ends_what_it_began(sent: signal.Signals) -> None:
    with process(0.4) as (server, url):
        statuses = two_in_line(url, steps=4)
        server.send_signal(sent)
        until(lambda: ready(url)[0] == 503)
        state = ready(url)[1]
        assert (state["status"], state["model"], state["error"]["code"]) == ("draining", "limner-mini", "draining")
        refused = httpx2.post(url + PATH, json={"prompt": "a"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        assert statuses() == [200, 200]
        assert server.wait(10) == 0
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()


def test_work_that_takes_too_long_is_told_when_stopping() -> None:
    with process(0.3, shutdown_grace=0.5) as (server, url):
        statuses = two_in_line(url, steps=50)
        server.terminate()
        assert statuses() == [503, 503]
        assert server.wait(10) == 0


def test_a_second_signal_does_not_wait() -> None:
    with process(0.2) as (server, url):
        statuses = two_in_line(url, steps=50)
        server.terminate()
        until(lambda: ready(url)[0] == 503)
        server.terminate()
        assert statuses() == [503, 503]
        assert server.wait(10) == 0


def test_a_taken_port_is_told_with_the_way_out(serve: Callable[..., Served]) -> None:
    port = serve().port
    with process(0, port=port) as (second, url):
        assert second.wait(20) == 3
        assert url == ""
        assert second.stderr is not None
        last = second.stderr.read().strip()
    assert "\n" not in last
    assert str(port) in last
    assert f"--port {port + 1}" in last


def test_an_address_of_another_machine_is_told() -> None:
    settings = Settings.load(host="192.0.2.1", api_key="k", port=0)
    app = create_app(Studio([GradientEngine()]), MemoryStore(), settings)
    with pytest.raises(PortTakenError) as caught:
        Server(app, settings)
    assert caught.value.param == "host"
