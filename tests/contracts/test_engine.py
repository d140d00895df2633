"""What every Engine promises, asked of each one that there is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from limner.engine import Engine
from limner.engines.worker import WorkerEngine
from limner.errors import EngineError
from limner.types import MAX_SEED, OUTPUT_FORMATS, RAW_RGB, RAW_RGBA, Event, Image, ImageRequest, Preview, Progress
from tests.breaking import CountedMini
from tests.fakes import GradientEngine

ROOT = Path(__file__).parents[2]

NO_WEIGHTS = pytest.mark.skipif(
    not (files("limner") / "mini" / "card.json").is_file(), reason="src/limner/mini holds no weights yet"
)


def mini(ledger: str) -> Engine:
    return CountedMini(ledger)


def in_child(name: str) -> Callable[[str], Engine]:
    return lambda ledger: WorkerEngine(f"tests.{name}", {"ledger": ledger})


# A new engine is one more row here and one more parameter of the fixture. Each is given the path of a file that it
# makes a byte longer with each denoising step that it begins.
MAKERS: dict[str, Callable[[str], Engine]] = {
    "gradient": lambda ledger: GradientEngine(ledger=ledger),
    "gradient-child": in_child("fakes:GradientEngine"),
    "mini": mini,
    "mini-child": in_child("breaking:CountedMini"),
    "diffusers-child": in_child("counted:CountedDiffusers"),
}
NO_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed here")
ROWS = [
    "gradient",
    "gradient-child",
    *(pytest.param(name, marks=NO_WEIGHTS) for name in ("mini", "mini-child")),
    pytest.param("diffusers-child", marks=NO_TORCH),
]
# Engines in a child, which take seconds to open, are opened once for all tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")
# The prompt on which an engine fails, where there is one.
FAILS_ON = {"gradient": "explode", "gradient-child": "explode"}


@pytest.fixture(params=ROWS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def ledger(name: str, kept: "Kept") -> Path:
    path = kept.folder / name
    path.unlink(missing_ok=True)
    return path


@dataclass
class Kept:
    """Engines that stay open between tests, and where their ledgers lie."""

    folder: Path
    exits: AsyncExitStack
    open: dict[str, Engine] = field(default_factory=dict)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    with pytest.MonkeyPatch.context() as patch:
        # A child finds the tests' engines there.
        patch.setenv("PYTHONPATH", str(ROOT))
        async with AsyncExitStack() as exits:
            yield Kept(tmp_path_factory.mktemp("ledgers"), exits)


@pytest_asyncio.fixture(loop_scope="module")
async def engine(name: str, ledger: Path, kept: Kept) -> AsyncIterator[Engine]:
    if not name.endswith("-child"):
        async with MAKERS[name](str(ledger)) as opened:
            yield opened
        return
    if name not in kept.open:
        kept.open[name] = await kept.exits.enter_async_context(MAKERS[name](str(ledger)))
    yield kept.open[name]


@pytest.fixture
def steps_begun(ledger: Path) -> Callable[[], int]:
    """How many denoising steps the engine has begun, seen from inside it."""
    return lambda: ledger.stat().st_size if ledger.exists() else 0


def wish(engine: Engine, prompt: str = "a cat", **wishes: Any) -> ImageRequest:
    card = engine.cards()[0]
    return card.request(prompt, **{"num_inference_steps": 2, "size": "64x64", "seed": 7} | wishes)


async def drawn(engine: Engine, request: ImageRequest) -> list[Event]:
    return [event async for event in engine.generate(request)]


async def pictures(engine: Engine, request: ImageRequest) -> list[Image]:
    return [event for event in await drawn(engine, request) if isinstance(event, Image)]


async def test_it_is_an_engine(engine: Engine) -> None:
    assert isinstance(engine, Engine)


async def test_cards_need_no_loading_and_keep_their_own_rules(name: str, ledger: Path) -> None:
    cards = MAKERS[name](str(ledger)).cards()
    assert len({card.id for card in cards}) == len(cards) > 0
    for card in cards:
        request = card.request("a cat")
        assert (request.width, request.height) == (card.native.width, card.native.height)
        assert card.min_side <= min(request.width, request.height)
        assert max(request.width, request.height) <= card.max_side
        assert request.num_inference_steps == card.quality_steps[card.default_quality] <= card.max_steps
        assert request.guidance_scale == card.default_guidance
        for quality in card.quality_steps:
            assert card.request("a cat", quality=quality).quality == quality
        assert card.about
        assert card.licence


async def test_progress_after_each_step_then_the_picture(engine: Engine) -> None:
    events = await drawn(engine, wish(engine, num_inference_steps=3))
    assert [(e.step, e.total) for e in events if isinstance(e, Progress)] == [(1, 3), (2, 3), (3, 3)]
    assert isinstance(events[-1], Image)
    assert len(events) == 4


async def test_n_pictures_in_order_each_with_its_seed(engine: Engine) -> None:
    request = wish(engine, n=3)
    events = await drawn(engine, request)
    made = [event for event in events if isinstance(event, Image)]
    assert [(image.index, image.seed) for image in made] == [(0, 7), (1, 8), (2, 9)]
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert {event.total for event in events if isinstance(event, Progress)} == {6}
    assert len({image.data for image in made}) == 3


@pytest.mark.parametrize(
    ("steps", "wanted", "due"), [(4, 3, [1, 2, 3]), (6, 2, [2, 4]), (4, 1, [2]), (2, 3, [1]), (1, 3, [])]
)
async def test_previews_come_evenly_before_the_picture_and_do_not_change_it(
    engine: Engine, steps: int, wanted: int, due: list[int]
) -> None:
    if "preview" not in engine.cards()[0].abilities:
        pytest.skip(f"{type(engine).__name__} gives no previews")
    plain = await pictures(engine, wish(engine, n=2, num_inference_steps=steps))
    events = await drawn(engine, wish(engine, n=2, num_inference_steps=steps, partial_images=wanted))
    assert [event for event in events if isinstance(event, Image)] == plain
    # Pictures may be drawn one after the other or side by side; of each the previews are as many, and before it.
    seen: dict[int, int] = {0: 0, 1: 0}
    finished: set[int] = set()
    for event in events:
        if isinstance(event, Image):
            finished.add(event.index)
        elif isinstance(event, Preview):
            assert (event.image.mime, event.image.width, event.image.height) == (RAW_RGB, 64, 64)
            assert event.image.data != plain[event.image.index].data
            assert event.image.seed == plain[event.image.index].seed
            assert event.image.index not in finished
            seen[event.image.index] += 1
    assert seen == {0: len(due), 1: len(due)}


async def test_no_previews_where_none_were_asked_for(engine: Engine) -> None:
    assert not [event for event in await drawn(engine, wish(engine)) if isinstance(event, Preview)]


async def test_a_pictures_own_seed_makes_it_again_alone(engine: Engine) -> None:
    """Past the last seed too, where it wraps round."""
    several = await pictures(engine, wish(engine, n=2, seed=MAX_SEED))
    assert [image.seed for image in several] == [MAX_SEED, 0]
    for image in several:
        (alone,) = await pictures(engine, wish(engine, seed=image.seed))
        assert alone.data == image.data


@pytest.mark.parametrize("size", ["64x64", "100x75", "75x100", "256x256", "320x64", "257x131"])
async def test_the_size_is_the_size_that_was_asked_for(engine: Engine, size: str) -> None:
    request = wish(engine, size=size)
    (image,) = await pictures(engine, request)
    assert f"{image.width}x{image.height}" == size
    assert image.mime in (RAW_RGB, *OUTPUT_FORMATS.values())
    if image.mime == RAW_RGB:
        assert len(image.data) == 3 * request.width * request.height


async def test_a_transparent_background_is_alpha(engine: Engine) -> None:
    if "transparent" not in engine.cards()[0].abilities:
        pytest.skip(f"{type(engine).__name__} draws no transparent background")
    request = wish(engine, size="96x64", num_inference_steps=4, partial_images=1, background="transparent")
    events = await drawn(engine, request)
    preview, image = (next(event for event in events if isinstance(event, kind)) for kind in (Preview, Image))
    for made in (preview.image, image):
        assert (made.mime, len(made.data)) == (RAW_RGBA, 4 * 96 * 64)
    alpha = image.data[3::4]
    assert 0 in alpha
    assert 255 in alpha


async def test_seed_prompt_and_steps_each_change_the_picture(engine: Engine) -> None:
    wishes = [wish(engine), wish(engine, seed=8), wish(engine, "a dog"), wish(engine)]
    first, seeded, prompted, again = [(await pictures(engine, each))[0].data for each in wishes]
    assert first == again
    assert len({first, seeded, prompted}) == 3


async def test_the_same_request_gives_the_same_bytes_whatever_runs_beside_it(engine: Engine) -> None:
    alone = await pictures(engine, wish(engine))
    others = [wish(engine, "a red house", seed=1, n=2), wish(engine, size="128x64"), wish(engine)]
    beside = await asyncio.gather(*(pictures(engine, each) for each in [wish(engine), *others]))
    assert beside[0] == beside[-1] == alone


async def test_another_opening_of_it_gives_the_same_bytes(engine: Engine, name: str, ledger: Path) -> None:
    alone = await pictures(engine, wish(engine))
    async with MAKERS[name](str(ledger)) as second:
        assert await pictures(second, wish(second)) == alone


async def test_closing_the_iterator_stops_within_one_step(engine: Engine, steps_begun: Callable[[], int]) -> None:
    events = engine.generate(wish(engine, num_inference_steps=50))
    assert isinstance(await anext(events), Progress)
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    stopped_at = steps_begun()
    assert stopped_at <= 3
    # Whatever the engine does next, it is not the rest of that request.
    await pictures(engine, wish(engine, num_inference_steps=1))
    assert steps_begun() <= stopped_at + 2


async def test_cancelling_the_reader_stops_within_one_step(engine: Engine, steps_begun: Callable[[], int]) -> None:
    two_steps_in = asyncio.Event()

    async def read() -> None:
        async for event in engine.generate(wish(engine, num_inference_steps=50)):
            if isinstance(event, Progress) and event.step == 2:
                two_steps_in.set()

    reader = asyncio.create_task(read())
    await two_steps_in.wait()
    at_cancel = steps_begun()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    # The step that ran when the word came may end, and none begins after it.
    assert steps_begun() <= at_cancel + 2 < 50


async def test_closing_before_the_first_event_does_nothing(engine: Engine, steps_begun: Callable[[], int]) -> None:
    await engine.generate(wish(engine)).aclose()
    assert steps_begun() == 0


async def test_it_serves_on_after_one_was_closed(engine: Engine) -> None:
    alone = await pictures(engine, wish(engine))
    events = engine.generate(wish(engine, seed=9, num_inference_steps=20))
    await anext(events)
    await events.aclose()
    assert await pictures(engine, wish(engine)) == alone


async def test_a_failure_is_an_engine_error_and_the_next_request_is_served(engine: Engine, name: str) -> None:
    if name not in FAILS_ON:
        pytest.skip(f"{name} cannot be made to fail on a prompt")
    with pytest.raises(EngineError, match="exploded"):
        await drawn(engine, wish(engine, FAILS_ON[name]))
    assert len(await pictures(engine, wish(engine))) == 1
