"""An engine in a child process: what ends the child, and what becomes of the requests that it was drawing."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.engines.worker import WorkerEngine
from limner.engines.worker_process import WorkerLimits
from limner.errors import EngineDiedError, EngineError, InvalidRequestError
from limner.types import Event, Image, ImageRequest, Progress
from tests.conftest import until
from tests.fakes import CARD, GradientEngine

ROOT = Path(__file__).parents[2]
BREAKING = "tests.breaking:BreakingEngine"


@pytest.fixture(autouse=True)
def tests_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def wish(prompt: str = "a cat", **wishes: Any) -> ImageRequest:
    return CARD.request(prompt, **{"num_inference_steps": 4, "size": "64x64", "seed": 7} | wishes)


async def drawn(engine: WorkerEngine, request: ImageRequest) -> list[Event]:
    return [event async for event in engine.generate(request)]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize(("word", "told"), [("exit", "exit code 3"), ("kill", "signal 9"), ("crash", "signal 11")])
async def test_a_child_that_dies_is_a_typed_error_for_its_request_and_a_fresh_one_serves_the_next(
    word: str, told: str
) -> None:
    async with WorkerEngine(BREAKING) as engine:
        first = engine.pid
        with pytest.raises(EngineDiedError, match=told) as raised:
            await drawn(engine, wish(f"late {word}"))
        assert raised.value.code == "engine_died"
        assert len(await drawn(engine, wish())) == 5
        assert engine.pid != first


async def test_nothing_delivered_yet_is_drawn_once_more_and_not_for_ever(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with WorkerEngine(BREAKING, {"ledger": str(ledger)}) as engine:
        with pytest.raises(EngineDiedError):
            await drawn(engine, wish("early kill"))
    # A step and the break, twice.
    assert ledger.stat().st_size == 4


async def test_a_request_that_waits_while_another_kills_the_child_gets_its_picture() -> None:
    async with WorkerEngine(BREAKING) as engine:
        others = [drawn(engine, wish(seed=seed)) for seed in range(3)]
        answers = await asyncio.gather(drawn(engine, wish("late kill")), *others, return_exceptions=True)
        assert isinstance(answers[0], EngineDiedError)
        for answer in answers[1:]:
            # What had begun to be delivered cannot be taken back.
            assert isinstance(answer, EngineDiedError) or isinstance(answer[-1], Image)


@pytest.mark.parametrize(
    ("word", "limits", "told"),
    [("stop", WorkerLimits(silence=1.0), "no sign of life"), ("sleep", WorkerLimits(step=1.0), "made no step")],
)
async def test_a_child_that_hangs_is_killed(word: str, limits: WorkerLimits, told: str) -> None:
    async with WorkerEngine(BREAKING, limits=limits) as engine:
        hung = engine.pid
        assert hung
        with pytest.raises(EngineDiedError, match=told):
            await drawn(engine, wish(f"late {word}"))
        assert gone(hung)
        assert len(await drawn(engine, wish())) == 5


async def test_a_reader_that_takes_its_time_is_not_a_hang() -> None:
    async with (
        WorkerEngine(BREAKING, limits=WorkerLimits(step=0.5)) as engine,
        aclosing(engine.generate(wish())) as events,
    ):
        assert isinstance(await anext(events), Progress)
        await asyncio.sleep(1.5)
        assert isinstance(await anext(events), Progress)


async def test_a_fault_in_the_engine_is_told_without_its_text_and_the_child_lives() -> None:
    async with WorkerEngine(BREAKING) as engine:
        first = engine.pid
        with pytest.raises(EngineError, match="RuntimeError") as raised:
            await drawn(engine, wish("late bug"))
        assert "somewhere" not in raised.value.message
        with pytest.raises(EngineError, match="not enough memory") as raised:
            await drawn(engine, wish("late memory"))
        assert raised.value.code == "out_of_memory"
        assert engine.pid == first


async def test_a_device_that_is_broken_for_good_takes_its_child_with_it() -> None:
    async with WorkerEngine(BREAKING) as engine:
        first = engine.pid
        with pytest.raises(EngineError):
            await drawn(engine, wish("late fatal"))
        assert len(await drawn(engine, wish())) == 5
        assert engine.pid != first


async def test_no_keys_reach_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "LIMNER_KEY_OF_A_PROVIDER", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("MY_OWN_CACHE", "there")
    async with WorkerEngine(BREAKING, environment=["MY_*"]) as engine:
        with pytest.raises(InvalidRequestError) as raised:
            await drawn(engine, wish("late environment"))
    seen = raised.value.message.split()
    assert raised.value.param == "prompt"
    assert "MY_OWN_CACHE" in seen
    assert "PATH" in seen
    assert not [name for name in seen if "KEY" in name or "TOKEN" in name]


async def test_an_engine_that_does_not_open_says_why_and_leaves_no_child() -> None:
    engine = WorkerEngine(BREAKING, {"fails": True})
    with pytest.raises(EngineError, match="not what they should be") as raised:
        async with engine:
            pass
    assert raised.value.code == "unsafe_model"
    assert engine.pid is None


async def test_closing_ends_the_child_even_while_it_draws_and_even_when_it_hangs() -> None:
    async with WorkerEngine("tests.fakes:GradientEngine", {"seconds": 0.05}) as engine:
        pid = engine.pid
        events = engine.generate(wish(num_inference_steps=50))
        await anext(events)
    assert pid
    assert gone(pid)
    with pytest.raises(EngineDiedError, match="closed"):
        await anext(events)
    async with WorkerEngine(BREAKING, limits=WorkerLimits(close=0.5)) as engine:
        pid = engine.pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
    assert gone(pid)


async def test_large_pictures_cross_in_shared_memory_both_ways() -> None:
    """2048x2048, which is far more than the socket holds, and equal to what the engine draws in this process."""
    from limner.sources import Source

    pixels = np.random.RandomState(0).bytes(4 * 1024 * 1024)
    source = Source(pixels=pixels, width=1024, height=1024)
    half = b"\0" * (512 * 1024) + b"\xff" * (512 * 1024)
    for request in (wish(size="2048x2048"), wish("a hat", images=[source], mask=half, size="1024x1024")):
        async with WorkerEngine("tests.fakes:GradientEngine") as engine, GradientEngine() as here:
            (image,) = [event for event in await drawn(engine, request) if isinstance(event, Image)]
            (own,) = [event async for event in here.generate(request) if isinstance(event, Image)]
        assert image == own
        assert hash(image) == hash(own)
        assert not np.frombuffer(image.data, np.uint8).flags.owndata


PARENT = """
import asyncio, os, sys
from limner.engines.worker import WorkerEngine
from tests.conftest import until
from tests.fakes import CARD

async def main():
    engine = WorkerEngine("tests.breaking:BreakingEngine")
    await engine.__aenter__()
    print(engine.pid, flush=True)
    async for event in engine.generate(CARD.request(sys.argv[1], num_inference_steps=4)):
        pass
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("prompt", ["a cat", "late sleep"])
def test_no_child_outlives_its_parent(prompt: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, prompt], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: gone(child), 20)
