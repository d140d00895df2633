"""Each family of pipelines from a folder of its own: pictures of the right size, and wishes that are honoured."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from limner.engines.diffusers import DiffusersEngine  # noqa: E402
from limner.engines.diffusers_preview import decode, spatial  # noqa: E402
from limner.errors import EngineError, InvalidRequestError  # noqa: E402
from limner.sources import Source  # noqa: E402
from limner.types import Image, ImageRequest, ModelCard, Preview, Progress  # noqa: E402
from tests.parity import families, sighted  # noqa: E402
from tests.parity.families import CARD  # noqa: E402

# diffusers 0.42 under numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
NO_NEGATIVE = ("flux2-dev", "flux2-klein", "sana-sprint")


MAKERS = {**families.MAKERS, **(sighted.MAKERS if sighted.THERE else {})}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("families")
    return {name: families.checkpoint(name, folder, MAKERS) for name in MAKERS}


@pytest.fixture(params=[*families.MAKERS, *sighted.MAKERS])
def name(request: pytest.FixtureRequest) -> str:
    if request.param not in MAKERS:
        pytest.skip("its processor needs torchvision")
    return request.param


@pytest.fixture
async def engine(name: str, checkpoints: dict[str, Path]) -> AsyncIterator[DiffusersEngine]:
    async with DiffusersEngine(CARD, str(checkpoints[name]), threads=1) as opened:
        yield opened


def able(engine: DiffusersEngine, ability: str) -> ModelCard:
    (card,) = engine.cards()
    if ability not in card.abilities:
        pytest.skip(f"it does not {ability}")
    return card


def parts(engine: DiffusersEngine) -> Any:
    return engine._drawer._parts


async def drawn(engine: DiffusersEngine, request: ImageRequest) -> list[Image]:
    return [event async for event in engine.generate(request) if isinstance(event, Image)]


async def picture(engine: DiffusersEngine, prompt: str = "a cat", **wishes: Any) -> np.ndarray:
    request = engine.cards()[0].request(prompt, **{"seed": 7, "size": "64x64"} | wishes)
    return pixels((await drawn(engine, request))[0])


def pixels(image: Image) -> np.ndarray:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).astype(int)


def source(width: int = 64, height: int = 64) -> Source:
    """Four plain quarters."""
    grid = np.zeros((height, width, 4), np.uint8)
    grid[..., 3] = 255
    grid[: height // 2, : width // 2, 0] = 200
    grid[height // 2 :, :, 1] = 160
    grid[:, width // 2 :, 2] = 220
    return Source(pixels=grid.tobytes(), width=width, height=height)


async def test_the_size_the_steps_and_the_count_are_what_was_asked_for(engine: DiffusersEngine) -> None:
    card = able(engine, "generate")
    for size, steps in (("96x64", 2), ("57x83", 3)):
        request = card.request("a cat", n=2, seed=7, size=size, num_inference_steps=steps)
        events = [event async for event in engine.generate(request)]
        images = [event for event in events if isinstance(event, Image)]
        assert [(f"{image.width}x{image.height}", image.seed) for image in images] == [(size, 7), (size, 8)]
        assert [event.step for event in events if isinstance(event, Progress)] == list(range(1, 2 * steps + 1))
        assert {event.total for event in events if isinstance(event, Progress)} == {2 * steps}
        for image in images:
            assert pixels(image).std() > 1


async def test_every_wish_changes_the_picture_and_nothing_else_does(engine: DiffusersEngine, name: str) -> None:
    able(engine, "generate")
    plain = await picture(engine)
    assert np.array_equal(plain, await picture(engine))
    others = [{"prompt": "a dog"}, {"seed": 8}, {"num_inference_steps": 2}, {"guidance_scale": 6.0}]
    others += [] if name in NO_NEGATIVE else [{"negative_prompt": "blurred, grey"}]
    for wishes in others:
        assert not np.array_equal(plain, await picture(engine, **wishes)), wishes


async def test_a_negative_prompt_that_a_class_does_not_take_is_refused(engine: DiffusersEngine, name: str) -> None:
    if name not in NO_NEGATIVE:
        pytest.skip("it takes one")
    with pytest.raises(InvalidRequestError) as raised:
        await picture(engine, negative_prompt="blurred")
    assert raised.value.param == "negative_prompt"


async def test_a_batch_is_what_its_pictures_are_alone(engine: DiffusersEngine) -> None:
    card = able(engine, "generate")
    together = [pixels(image) for image in await drawn(engine, card.request("a cat", n=3, seed=7, size="64x64"))]
    for index, image in enumerate(together):
        assert np.abs(image - await picture(engine, seed=7 + index)).max() <= 2


async def test_each_scheduler_of_the_card_draws(engine: DiffusersEngine, name: str) -> None:
    card = able(engine, "generate")
    assert bool(card.schedulers) is (name != "sana-sprint")
    own = await picture(engine, num_inference_steps=4)
    for scheduler in card.schedulers:
        drawn = await picture(engine, num_inference_steps=4, scheduler=scheduler)
        assert drawn.std() > 1
        # Those that add noise on the way take it from the seed.
        assert np.array_equal(drawn, await picture(engine, num_inference_steps=4, scheduler=scheduler)), scheduler
    # And the next request has the model's own again.
    assert np.array_equal(own, await picture(engine, num_inference_steps=4))


async def test_the_preview_of_finished_latents_is_the_picture(engine: DiffusersEngine, name: str) -> None:
    """What `decode` does by itself is what the pipeline's own last lines do."""
    able(engine, "generate")
    if name == "sana-sprint":
        pytest.skip("its picture is decoded from something else than the latents that it tells of")
    pipeline = parts(engine).pipeline("generate")
    last: dict[str, Any] = {}

    def keep(_pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        last.update(tensors)
        return {}

    with torch.inference_mode():
        options = dict(parts(engine).family.always)
        made = pipeline(
            prompt="a cat", width=96, height=64, num_inference_steps=2, output_type="pt", callback_on_step_end=keep,
            **options, **({"max_area": 96 * 64} if "_auto_resize" in options else {}),
        )[0][0]  # fmt: skip
        cells = spatial(parts(engine), last["latents"][0], 96, 64)
        assert (decode(parts(engine), cells).clamp(0, 1) - made).abs().max() < 1e-3


async def test_previews_do_not_change_the_picture(engine: DiffusersEngine) -> None:
    card = able(engine, "generate")
    request = card.request("a cat", seed=7, size="64x64", partial_images=2)
    events = [event async for event in engine.generate(request)]
    assert sum(isinstance(event, Preview) for event in events) == 2
    assert np.array_equal(pixels(events[-1]), await picture(engine))


async def test_a_picture_to_start_from_changes_the_picture(engine: DiffusersEngine, name: str) -> None:
    able(engine, "edit")
    if name == "flux-fill":
        pytest.skip("it needs a mask")
    wishes = {"num_inference_steps": 4}
    first = await picture(engine, images=[source()], **wishes)
    other = Source(pixels=bytes((255, 255, 255, 255)) * 64 * 64, width=64, height=64)
    assert not np.array_equal(first, await picture(engine, images=[other], **wishes))
    assert not np.array_equal(first, await picture(engine, "a dog", images=[source()], **wishes))


async def test_a_picture_that_the_class_would_not_look_at(engine: DiffusersEngine, name: str) -> None:
    """FLUX.2 looks at nothing below 64 pixels or longer than 8:1: what is small is enlarged, what is long refused."""
    if not name.startswith("flux2"):
        pytest.skip("it looks at any")
    assert (await picture(engine, images=[source(40, 24)])).std() > 1
    with pytest.raises(InvalidRequestError, match="8 times the other") as raised:
        await picture(engine, images=[source(600, 64)])
    assert raised.value.param == "image"


async def test_a_package_that_a_model_lacks_is_named(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    if sighted.THERE:
        pytest.skip("nothing is missing")
    folder = shutil.copytree(checkpoints["qwen-image"], tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": "QwenImageEditPipeline", "processor": ["transformers", "Qwen2VLProcessor"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    shutil.copytree(folder / "tokenizer", folder / "processor")
    (folder / "processor/preprocessor_config.json").write_text('{"image_processor_type": "Qwen2VLImageProcessor"}')
    with pytest.raises(EngineError, match=r"\(torchvision\).*pip install 'limner\[diffusers\]'") as raised:
        await DiffusersEngine(CARD, str(folder), threads=1).__aenter__()
    assert raised.value.code == "missing_package"


async def test_a_small_strength_stays_near_the_picture_and_takes_fewer_steps(engine: DiffusersEngine) -> None:
    card = able(engine, "vary")
    for strength, steps in ((0.5, 2), (0.01, 1), (0.9, 3), (1.0, 4)):
        request = card.request(
            "a cat", images=[source()], strength=strength, num_inference_steps=4, seed=7, size="64x64"
        )
        events = [event async for event in engine.generate(request)]
        assert [event.total for event in events if isinstance(event, Progress)] == [steps] * steps


@pytest.mark.parametrize("size", ["64x64", "80x48"])
async def test_what_the_mask_keeps_is_the_picture_itself(engine: DiffusersEngine, size: str) -> None:
    card = able(engine, "mask")
    width, height = map(int, size.split("x"))
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    request = card.request(
        "a hat", images=[source(width, height)], mask=mask.tobytes(), size=size, seed=7, num_inference_steps=2
    )
    (image,) = await drawn(engine, request)
    known = np.frombuffer(source(width, height).pixels, np.uint8).reshape(height, width, 4)[..., :3].astype(int)
    changed = (pixels(image) != known).any(-1)
    assert not changed[mask == 0].any()
    assert changed[mask == 255].any()


async def test_a_model_that_needs_a_mask_says_so(engine: DiffusersEngine, name: str) -> None:
    if name != "flux-fill":
        pytest.skip("it needs none")
    with pytest.raises(InvalidRequestError, match="needs a mask") as raised:
        await picture(engine, images=[source()])
    assert raised.value.param == "mask"
