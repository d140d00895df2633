"""Forms of a model are measured when the device is idle, and the fastest that draws the same draws from then on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from limner.engines.diffusers import DiffusersEngine  # noqa: E402
from limner.engines.diffusers_speed import Tuner  # noqa: E402
from limner.engines.mini import MiniEngine  # noqa: E402
from limner.types import Image  # noqa: E402
from tests.counted import AS_MINI, CHECKPOINT  # noqa: E402

(CARD,) = MiniEngine().cards()
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
async def engine() -> AsyncIterator[DiffusersEngine]:
    async with DiffusersEngine(CARD, str(CHECKPOINT), speed="measured", threads=1, **AS_MINI) as opened:
        # Graphs as they are: what is under test is the choosing, not the compiler.
        opened._drawer.tuner._compiler = "eager"
        yield opened


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say how long each form takes, in the order in which they are measured: eager, fused, compiled."""

    def say(*seconds: float) -> None:
        told = iter(seconds)

        def timing(self: Tuner, step: Callable[[], Any]) -> float:
            step()
            return next(told)

        monkeypatch.setattr(Tuner, "_timed", timing)

    return say


async def drawn(engine: DiffusersEngine, size: str = "64x64", seed: int = 7) -> np.ndarray:
    request = engine.cards()[0].request("a cat", seed=seed, size=size, num_inference_steps=2)
    (image,) = [event async for event in engine.generate(request) if isinstance(event, Image)]
    return np.frombuffer(image.data, np.uint8).astype(int)


async def tuned(engine: DiffusersEngine) -> dict[Any, str]:
    """What was chosen, once the device has nothing left to measure."""
    while engine._busy:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return engine._drawer.tuner.chosen


def compiled(engine: DiffusersEngine) -> bool:
    return any(part._compiled_call_impl is not None for part in engine._drawer.tuner._model.modules())


@pytest.mark.parametrize(
    ("seconds", "chosen", "fused"),
    [((3.0, 2.0, 1.0), "compiled", True), ((3.0, 4.0, 1.0), "compiled", False), ((3.0, 2.0, 2.5), "eager", True),
     ((3.0, 2.99, 2.95), "eager", False)],
)  # fmt: skip
async def test_the_fastest_form_draws_the_same_picture(
    engine: DiffusersEngine, timed: Callable[..., None], seconds: tuple[float, ...], chosen: str, fused: bool
) -> None:
    timed(*seconds)
    first = await drawn(engine)
    assert list((await tuned(engine)).values()) == [chosen]
    assert engine._drawer.tuner.fused is fused
    assert np.abs(await drawn(engine) - first).max() <= 2
    assert compiled(engine) is (chosen == "compiled")


async def test_another_shape_is_drawn_as_it_was_until_it_was_measured(
    engine: DiffusersEngine, timed: Callable[..., None]
) -> None:
    timed(3.0, 4.0, 1.0, 3.0, 5.0)
    await drawn(engine)
    await tuned(engine)
    await drawn(engine, "128x64")
    assert not compiled(engine)
    assert list((await tuned(engine)).values()) == ["compiled", "eager"]


async def test_a_form_that_draws_something_else_is_not_taken(
    engine: DiffusersEngine, timed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(3.0, 1.0, 4.0)
    model = engine._drawer.tuner._model

    def broken() -> None:
        model.proj_out.bias.data += 1.0

    def mended() -> None:
        model.proj_out.bias.data -= 1.0

    monkeypatch.setattr(model, "fuse_qkv_projections", broken)
    monkeypatch.setattr(model, "unfuse_qkv_projections", mended)
    first = await drawn(engine)
    assert list((await tuned(engine)).values()) == ["eager"]
    assert np.array_equal(first, await drawn(engine))


async def test_a_compiler_that_fails_leaves_the_model_as_it_was(
    engine: DiffusersEngine, timed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(3.0, 4.0)

    def fails(**_: object) -> None:
        raise RuntimeError("no compiler on this machine")

    monkeypatch.setattr(engine._drawer.tuner._model, "compile_repeated_blocks", fails)
    first = await drawn(engine)
    assert list((await tuned(engine)).values()) == ["eager"]
    assert np.array_equal(first, await drawn(engine))


async def test_a_request_that_comes_while_it_measures_gets_its_picture(engine: DiffusersEngine) -> None:
    await drawn(engine)
    assert engine._busy
    await drawn(engine)
    assert (await tuned(engine)).values()
    times = next(iter(engine._drawer.tuner.measured.values()))
    assert set(times) == {"eager", "fused", "compiled"}


def again(run: Callable[[], Any]) -> Callable[[], None]:
    """What stands for a recording where there is no CUDA: the step on the very tensors that it was recorded with."""
    run()
    return run


@pytest.mark.parametrize(("last", "chosen"), [(0.01, "recorded"), (0.03, "eager")])
async def test_a_small_step_is_recorded_where_that_is_faster(
    engine: DiffusersEngine, timed: Callable[..., None], last: float, chosen: str
) -> None:
    timed(0.03, 0.04, 0.04, last)
    tuner = engine._drawer.tuner
    tuner._record = again
    first = await drawn(engine)
    assert list((await tuned(engine)).values()) == [chosen]
    played: list[object] = []
    if chosen == "recorded":
        (recording,) = tuner._player._recordings.values()
        replay = recording._replay
        recording._replay = lambda: played.append(replay())
    # Other numbers in the same tensors: each step, and another seed.
    assert np.array_equal(await drawn(engine), first)
    assert not np.array_equal(await drawn(engine, seed=8), first)
    assert len(played) == (4 if chosen == "recorded" else 0)


async def test_a_large_step_is_not_recorded(engine: DiffusersEngine, timed: Callable[..., None]) -> None:
    timed(3.0, 4.0, 4.0)
    engine._drawer.tuner._record = again
    await drawn(engine)
    assert list((await tuned(engine)).values()) == ["eager"]
    assert engine._drawer.tuner._player is None


async def test_what_cannot_be_recorded_is_drawn_as_it_was(engine: DiffusersEngine, timed: Callable[..., None]) -> None:
    def fails(_run: Callable[[], Any]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing")

    timed(0.03, 0.04, 0.04)
    engine._drawer.tuner._record = fails
    first = await drawn(engine)
    assert list((await tuned(engine)).values()) == ["eager"]
    assert np.array_equal(await drawn(engine), first)


async def test_a_recording_plays_only_what_it_is_of(engine: DiffusersEngine, timed: Callable[..., None]) -> None:
    """A LoRA, another size or another fixed argument is drawn by the model itself."""
    timed(0.03, 0.04, 0.04, 0.01)
    tuner = engine._drawer.tuner
    tuner._record = again
    first = await drawn(engine)
    await tuned(engine)
    (recording,) = tuner._player._recordings.values()
    given = torch.zeros(1, 4)
    assert not recording.fits((given,), {})
    assert (await drawn(engine, "128x64")).size == 128 * 64 * 3
    tuner.stop()
    assert tuner._player._recordings == {}
    assert np.array_equal(await drawn(engine), first)


async def test_on_a_processor_nothing_is_measured_unless_it_is_asked_for() -> None:
    async with DiffusersEngine(CARD, str(CHECKPOINT), threads=1, **AS_MINI) as engine:
        assert engine._drawer.tuner is None
