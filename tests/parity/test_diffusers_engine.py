"""Our own checkpoint, a real FluxPipeline, in the diffusers engine: equal to ONNX, in batches, over HTTP."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from limner.engine import Engine  # noqa: E402
from limner.engines.diffusers import DiffusersEngine  # noqa: E402
from limner.engines.mini import MiniEngine  # noqa: E402
from limner.engines.worker import WorkerEngine  # noqa: E402
from limner.errors import EngineError, InvalidRequestError  # noqa: E402
from limner.server import create_app  # noqa: E402
from limner.server.run import Server  # noqa: E402
from limner.settings import Settings  # noqa: E402
from limner.store import MemoryStore  # noqa: E402
from limner.studio import Studio  # noqa: E402
from limner.types import Image, ImageRequest, Progress  # noqa: E402
from tests.conftest import until  # noqa: E402
from tests.counted import AS_MINI, CHECKPOINT, CountedDiffusers  # noqa: E402

(CARD,) = MiniEngine().cards()
# limner-mini's own, where it is compared; less where it is not, because time goes by pixels.
NATIVE = "256x256"


@pytest.fixture
async def engine() -> AsyncIterator[DiffusersEngine]:
    async with DiffusersEngine(CARD, str(CHECKPOINT), threads=1, **AS_MINI) as opened:
        yield opened


def pixels(image: Image) -> np.ndarray:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).astype(int)


def wish(engine: Engine, prompt: str = "a cat", **wishes: Any) -> ImageRequest:
    return engine.cards()[0].request(prompt, **{"seed": 7, "size": "128x128", "num_inference_steps": 3} | wishes)


async def drawn(engine: Engine, request: ImageRequest) -> list[np.ndarray]:
    return [pixels(event) async for event in engine.generate(request) if isinstance(event, Image)]


def far(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one - other).max())


@pytest.mark.parametrize(
    ("prompt", "wishes"),
    # At seeds whose second bit is not set: limner-mini turns its picture round at the others.
    [
        ("a cat", {"seed": 9, "num_inference_steps": 8}),
        ("a car", {"seed": 1, "guidance_scale": 1.0, "num_inference_steps": 4}),
        ("a house, cartoon", {"seed": 5}),
        ("кот 🐈", {"seed": 12, "num_inference_steps": 4, "negative_prompt": "a red house"}),
    ],
)
async def test_the_same_picture_as_the_embedded_engine(
    engine: DiffusersEngine, prompt: str, wishes: dict[str, Any]
) -> None:
    """The same caption, through ONNX and through diffusers: no pixel differs by more than 2 of 255."""
    async with MiniEngine() as mini:
        request = wish(mini, prompt, size=NATIVE, **wishes)
        # limner-mini reads a prompt into a scene, and its model sees the scene's caption.
        negative = request.negative_prompt and mini.understood(request.negative_prompt, request.seed)[1]
        caption = replace(request, prompt=mini.understood(prompt, request.seed)[1], negative_prompt=negative)
        (ours,), (theirs,) = await drawn(mini, request), await drawn(engine, caption)
    assert far(ours, theirs) <= 2


async def test_half_precision_draws_nearly_the_same_picture(engine: DiffusersEngine) -> None:
    request = wish(engine, size="64x64", num_inference_steps=2)
    async with DiffusersEngine(CARD, str(CHECKPOINT), threads=1, dtype="bfloat16", **AS_MINI) as half:
        assert next(half._drawer._parts.model.parameters()).dtype == torch.bfloat16
        (one,), (other,) = await drawn(engine, request), await drawn(half, request)
    # Eight bits of a number instead of 24.
    assert 0 < np.abs(one - other).mean() < 8


async def test_requests_that_wait_together_are_drawn_together_and_each_is_what_it_is_alone(
    engine: DiffusersEngine,
) -> None:
    requests = [wish(engine, f"a {thing}", seed=seed) for seed, thing in enumerate(("cat", "house", "fish", "car"))]
    alone = [(await drawn(engine, request))[0] for request in requests]
    batches: list[int] = []
    draw = engine._drawer.draw
    engine._drawer.draw = lambda rows: batches.append(len(rows)) or draw(rows)
    together = await asyncio.gather(*(drawn(engine, request) for request in [requests[0], *requests]))
    # The first is begun at once; what waits behind it is one batch.
    assert batches == [1, 4]
    for own, (shared,) in zip(alone, together[1:], strict=True):
        assert far(own, shared) <= 2
    assert far(alone[0], alone[1]) > 50


async def test_what_differs_in_size_steps_or_guidance_is_not_drawn_together(engine: DiffusersEngine) -> None:
    batches: list[int] = []
    draw = engine._drawer.draw
    engine._drawer.draw = lambda rows: batches.append(len(rows)) or draw(rows)
    odd = [{}, {"size": "64x64"}, {"num_inference_steps": 2}, {"guidance_scale": 1.0}, {"scheduler": "euler_karras"}]
    await asyncio.gather(*(drawn(engine, wish(engine, **wishes)) for wishes in odd))
    assert batches == [1] * 5


async def test_who_leaves_a_batch_does_not_wait_for_it_nor_stop_it(engine: DiffusersEngine) -> None:
    first = asyncio.create_task(drawn(engine, wish(engine, num_inference_steps=2)))
    await asyncio.sleep(0)
    long = {"num_inference_steps": 10}
    stays = asyncio.create_task(drawn(engine, wish(engine, "a house", seed=1, **long)))
    leaving = engine.generate(wish(engine, "a fish", seed=2, **long))
    assert isinstance(await anext(leaving), Progress)
    await leaving.aclose()
    assert not stays.done()
    (kept,) = await stays
    assert far(kept, (await drawn(engine, wish(engine, "a house", seed=1, **long)))[0]) <= 2
    await first


async def test_prompts_are_encoded_once(engine: DiffusersEngine) -> None:
    cache = engine._drawer._prompts
    for seed in range(3):
        await drawn(engine, wish(engine, seed=seed, num_inference_steps=1, guidance_scale=3.0))
    # The prompt and the negative prompt, which is empty.
    assert (cache.misses, cache.hits) == (2, 4)
    await drawn(engine, wish(engine, "a dog", num_inference_steps=1, guidance_scale=3.0))
    assert (cache.misses, cache.hits) == (3, 5)


async def test_a_size_for_which_there_is_no_memory_is_refused_with_one_that_fits(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.engines.diffusers_memory.free_bytes", lambda device: 1_000_000_000)
    with pytest.raises(InvalidRequestError, match="704x704 fits") as raised:
        await drawn(engine, wish(engine, size="2048x2048"))
    assert (raised.value.param, raised.value.code) == ("size", "out_of_memory")
    assert len(await drawn(engine, wish(engine))) == 1


async def test_a_device_that_is_full_all_the_same_is_a_typed_error(engine: DiffusersEngine) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    decode, engine._drawer._parts.base.vae.decode = engine._drawer._parts.base.vae.decode, full
    with pytest.raises(EngineError) as raised:
        await drawn(engine, wish(engine))
    assert raised.value.code == "out_of_memory"
    engine._drawer._parts.base.vae.decode = decode
    assert len(await drawn(engine, wish(engine))) == 1


async def test_a_large_picture_is_decoded_in_tiles(engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.engines.diffusers_parts.TILED_ABOVE", 256 * 256)
    tiled: list[bool] = []
    vae = engine._drawer._parts.base.vae
    decode = vae.decode
    vae.decode = lambda *a, **k: tiled.append(vae.use_tiling) or decode(*a, **k)
    await drawn(engine, wish(engine, size="384x256", num_inference_steps=1))
    await drawn(engine, wish(engine, num_inference_steps=1))
    assert tiled == [True, False]


async def test_previews_of_a_large_decoder_come_from_a_map_that_is_fitted_once(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a decoder that is too large to run after each step."""
    engine._drawer._previews._small = False
    decoded: list[int] = []
    vae = engine._drawer._parts.base.vae
    decode = vae.decode
    vae.decode = lambda *a, **k: decoded.append(1) or decode(*a, **k)
    request = wish(engine, size=NATIVE, num_inference_steps=8, partial_images=3)
    events = [event async for event in engine.generate(request)]
    previews = [event.image for event in events if type(event).__name__ == "Preview"]
    assert len(previews) == 3
    # One for the fit and one for the picture.
    assert len(decoded) == 2
    last = pixels(events[-1])
    # Mean colours of sixteen blocks a side: what a map of cells can know.
    errors = [np.abs(blocks(pixels(image)) - blocks(last)).mean() for image in previews]
    assert errors[-1] < 25
    assert errors[-1] < np.abs(blocks(last) - blocks(last).mean((0, 1))).mean() * 0.75


def blocks(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(8, 32, 8, 32, 3).mean((1, 3))


@pytest.fixture(params=["onnx", "diffusers", "diffusers in a child"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real server whose engine is one of the three."""
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).parents[2]))
    options = {"card": CARD, "folder": str(CHECKPOINT), "threads": 1, **AS_MINI}
    engine: Engine = {
        "onnx": lambda: MiniEngine(),
        "diffusers": lambda: DiffusersEngine(**options),
        "diffusers in a child": lambda: WorkerEngine("limner.engines.diffusers:DiffusersEngine", options),
    }[request.param]()
    settings = Settings.load(port=0, shutdown_grace=1)
    server = Server(create_app(Studio([engine]), MemoryStore(), settings), settings)
    with ExitStack() as exits:
        thread = threading.Thread(target=server.run, args=(server.listeners,))
        thread.start()
        exits.callback(thread.join, 30)
        exits.callback(server.handle_exit, 15, None)
        until(lambda: server.started, 120)
        yield server.url


def test_the_same_over_http(url: str, pictures_by_engine: dict[str, dict[str, np.ndarray]], request: Any) -> None:
    """The same requests to each engine's server, and the same answers but for two levels of a colour."""
    import base64
    import io

    import PIL.Image

    found: dict[str, np.ndarray] = {}
    # In words that are the model's own, for only limner-mini reads prompts: it would choose a manner,
    # turn a colour, and turn the picture round at seeds whose second bit is set.
    wishes = {"prompt": "a cat, 3d", "size": NATIVE, "seed": 9, "num_inference_steps": 4, "response_format": "b64_json"}
    for number, more in enumerate(({}, {"n": 2, "seed": 4}, {"guidance_scale": 1, "prompt": "a house, 3d"})):
        answer = httpx2.post(f"{url}/v1/images/generations", json=wishes | more, timeout=120)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["model"] == "limner-mini"
        for at, entry in enumerate(told["data"]):
            picture = PIL.Image.open(io.BytesIO(base64.b64decode(entry["b64_json"])))
            found[f"{number}.{at}"] = np.asarray(picture.convert("RGB")).astype(int)
    streamed = httpx2.post(
        f"{url}/v1/images/generations", json=wishes | {"stream": True, "partial_images": 2}, timeout=120
    )
    assert streamed.text.count("event: image_generation.partial_image") == 2
    assert streamed.text.count("event: image_generation.completed") == 1
    refused = httpx2.post(f"{url}/v1/images/generations", json=wishes | {"size": "9000x9000"}, timeout=120)
    assert refused.json()["error"]["param"] == "size"
    assert len(found) == 4
    for others in pictures_by_engine.values():
        for key, picture in found.items():
            assert far(picture, others[key]) <= 2, key
    pictures_by_engine[request.node.callspec.params["url"]] = found


@pytest.fixture(scope="module")
def pictures_by_engine() -> dict[str, dict[str, np.ndarray]]:
    return {}


async def test_a_reader_who_leaves_stops_it_within_one_step(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with CountedDiffusers(str(ledger)) as engine:
        events = engine.generate(wish(engine, num_inference_steps=50))
        await anext(events)
        await events.aclose()
        assert ledger.stat().st_size <= 2
