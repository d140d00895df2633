"""Encoders: files are made beside the drawing, in order, and never hold the engine up."""

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from limner.encoders import MAX_WAITING, Encoders
from limner.types import RAW_RGB, Event, Image, Preview, Progress
from tests.conftest import soon


def raw(index: int) -> Image:
    return Image(data=bytes(3), mime=RAW_RGB, width=1, height=1, seed=index, index=index)


def done(image: Image, final: bool) -> Image:
    return Image(data=b"file" if final else b"look", mime="image/png", width=1, height=1, seed=0, index=image.index)


class Drawing:
    """Yields so many pictures, each with a step and a preview before it, and knows how far it got."""

    def __init__(self, count: int, *, breaks: bool = False) -> None:
        self.count = count
        self.breaks = breaks
        self.given = 0
        self.over = False

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            for index in range(self.count):
                yield Progress(step=index + 1, total=self.count)
                yield Preview(image=raw(index))
                yield raw(index)
                self.given += 1
            if self.breaks:
                raise ValueError("broken")
        finally:
            self.over = True


async def test_events_come_in_order_and_encoded() -> None:
    encoders = Encoders(4)
    events = [event async for event in encoders.run(Drawing(3).events(), done)]
    assert [type(event) for event in events] == [Progress, Preview, Image] * 3
    assert [event.index for event in events if isinstance(event, Image)] == [0, 1, 2]
    assert {event.data for event in events if isinstance(event, Image)} == {b"file"}
    assert {event.image.data for event in events if isinstance(event, Preview)} == {b"look"}
    assert encoders.seconds > 0
    encoders.close()


async def test_files_of_engines_that_encode_pass_as_they_are() -> None:
    async def files() -> AsyncGenerator[Event, None]:
        yield done(raw(0), True)

    def unwanted(image: Image, final: bool) -> Image:
        raise AssertionError("there is nothing to do")

    encoders = Encoders(1)
    assert [event async for event in encoders.run(files(), unwanted)] == [done(raw(0), True)]
    encoders.close()


async def test_the_engine_is_done_with_before_its_pictures_are() -> None:
    encoders, drawing, gate = Encoders(1), Drawing(2), threading.Event()

    def late(image: Image, final: bool) -> Image:
        assert gate.wait(10)
        return done(image, final)

    reading = asyncio.create_task(collected(encoders, drawing, late))
    await soon(lambda: drawing.over)
    assert not reading.done()
    gate.set()
    assert len(await reading) == 6
    encoders.close()


async def test_raw_pictures_do_not_pile_up() -> None:
    encoders, drawing, gate = Encoders(1), Drawing(30), threading.Event()

    def late(image: Image, final: bool) -> Image:
        assert gate.wait(10)
        return done(image, final)

    reading = asyncio.create_task(collected(encoders, drawing, late))
    for _ in range(50):
        await asyncio.sleep(0)
    # Each brings a preview, which counts too.
    assert drawing.given == MAX_WAITING // 2
    gate.set()
    assert len(await reading) == 90
    encoders.close()


async def test_what_came_before_a_failure_comes_and_then_the_failure() -> None:
    encoders = Encoders(1)
    events: list[Event] = []
    running = encoders.run(Drawing(1, breaks=True).events(), done)
    for _ in range(3):
        events.append(await anext(running))
    assert isinstance(events[-1], Image)
    with pytest.raises(ValueError, match="broken"):
        await anext(running)
    encoders.close()


async def test_a_picture_that_cannot_be_encoded_ends_the_drawing() -> None:
    encoders, drawing = Encoders(1), Drawing(30)

    def broken(image: Image, final: bool) -> Image:
        raise ValueError("no such picture")

    with pytest.raises(ValueError, match="no such picture"):
        await collected(encoders, drawing, broken)
    assert drawing.over
    encoders.close()


async def test_closing_it_closes_the_drawing() -> None:
    encoders, drawing = Encoders(1), Drawing(30)
    events = encoders.run(drawing.events(), done)
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    assert drawing.over
    encoders.close()


async def collected(encoders: Encoders, drawing: Drawing, encode: object) -> list[Event]:
    return [event async for event in encoders.run(drawing.events(), encode)]  # type: ignore[arg-type]
