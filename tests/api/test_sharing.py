"""x-limner-cache: what a client sees of pictures that were not drawn for it."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import httpx2
import pytest

from tests.api.test_retries import asked, in_background
from tests.conftest import Called, Served, until
from tests.sending import EDITS, coloured, form

PATH = "/v1/images/generations"
SEEDED: dict[str, Any] = {"prompt": "a cat", "seed": 7, "response_format": "b64_json"}


async def post(called: Called, **body: Any) -> httpx2.Response:
    answer = await called.client.post(PATH, json=SEEDED | body)
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_repeat_is_a_hit(called: Called) -> None:
    first, again = await post(called), await post(called)
    assert (first.headers["x-limner-cache"], again.headers["x-limner-cache"]) == ("miss", "hit")
    assert again.json()["data"] == first.json()["data"]
    assert "idempotent-replayed" not in again.headers
    assert called.engine.stepped == 4


async def test_without_a_seed_it_is_off(called: Called) -> None:
    for _ in range(2):
        assert (await post(called, seed=None)).headers["x-limner-cache"] == "off"
    assert called.engine.stepped == 8


async def test_every_kind_of_answer_is_made_of_the_same_picture(called: Called) -> None:
    await post(called)
    url = await post(called, response_format="url")
    streamed = await post(called, stream=True, partial_images=2)
    bare = await called.client.post(PATH, json=SEEDED, headers={"accept": "image/png"})
    for answer in (url, streamed, bare):
        assert answer.headers["x-limner-cache"] == "hit"
    assert (await called.client.get(url.json()["data"][0]["url"])).content == bare.content
    assert streamed.text.count("event: ") == 1
    assert called.engine.stepped == 4


async def test_edits_go_by_what_they_began_with(called: Called) -> None:
    def sent(colour: str, seed: str = "7") -> dict[str, Any]:
        return form([("image", coloured(colour)), ("prompt", "a cat"), ("seed", seed)])

    seen = [
        (await called.client.post(EDITS, **sent(colour))).headers["x-limner-cache"] for colour in ("red", "red", "blue")
    ]
    assert seen == ["miss", "hit", "miss"]


async def test_both_can_be_switched_off(call: Callable[..., Awaitable[Called]]) -> None:
    called = await call(single_flight=False, cache_bytes=0)
    for _ in range(2):
        assert (await post(called)).headers["x-limner-cache"] == "off"
    assert called.engine.stepped == 8


@pytest.mark.parametrize("streamed", [False, True])
def test_equal_requests_at_one_time_are_drawn_once(serve: Callable[..., Served], streamed: bool) -> None:
    served = serve(seconds=0.2)
    wish = {"seed": 7, "stream": streamed}
    posted = [in_background(served.url, {}, **wish)]
    until(lambda: served.engine.stepped)
    posted += [in_background(served.url, {}, **wish) for _ in range(5)]
    for thread, _ in posted:
        thread.join()
    answers = [answers[0] for _, answers in posted]
    assert [answer.headers["x-limner-cache"] for answer in answers] == ["miss", *["joined"] * 5]
    assert served.engine.stepped == 4


def test_a_client_that_hangs_up_does_not_stop_another(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.2)
    with asked(served.port, {}, seed=7, steps=10):
        until(lambda: served.engine.stepped)
        thread, answers = in_background(served.url, {}, seed=7, steps=10)
        until(lambda: served.process.life.in_flight == 2)
    until(lambda: served.process.life.in_flight == 1)
    thread.join()
    assert answers[0].status_code == 200
    assert answers[0].headers["x-limner-cache"] == "joined"
    assert served.engine.stepped == 10


def test_the_last_one_to_hang_up_does(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.1)
    with asked(served.port, {}, seed=7, steps=50), asked(served.port, {}, seed=7, steps=50):
        until(lambda: served.process.life.in_flight == 2 and served.engine.stepped)
    until(lambda: served.process.life.in_flight == 0)
    seen = served.engine.stepped
    assert seen < 50
    time.sleep(0.3)
    assert served.engine.stepped == seen


async def test_a_hit_needs_no_other_thread(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing over to a thread and back costs more than all the rest of such an answer."""
    await post(called)
    hops: list[object] = []
    run = anyio.to_thread.run_sync

    async def counted(call: Any, *given: Any, **named: Any) -> Any:
        hops.append(call)
        return await run(call, *given, **named)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
    assert (await post(called)).headers["x-limner-cache"] == "hit"
    assert hops == []
    await post(called, response_format="url")
    assert hops, "the guard sees what it should see"
