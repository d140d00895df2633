"""Jobs: work that several wait for, and the names of what is the same."""

import asyncio
from collections.abc import AsyncGenerator
from types import MappingProxyType

import pytest

from limner.jobs import Job, fingerprint
from tests.fakes import CARD


async def test_a_reader_that_comes_late_gets_all_of_it() -> None:
    gate = asyncio.Event()

    async def work() -> AsyncGenerator[bytes, None]:
        yield b"one"
        await gate.wait()
        yield b"two"

    job = Job(work)
    early = job.read()
    assert await anext(early) == b"one"
    late = job.read()
    assert await anext(late) == b"one"
    gate.set()
    assert [chunk async for chunk in late] == [chunk async for chunk in early] == [b"two"]
    assert not job.failed


async def test_every_reader_gets_the_failure() -> None:
    async def work() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise ValueError("broken")

    job = Job(work)

    async def read() -> list[bytes]:
        return [chunk async for chunk in job.read()]

    results = await asyncio.gather(read(), read(), return_exceptions=True)
    assert [str(result) for result in results] == ["broken", "broken"]
    assert job.failed


async def test_the_work_is_closed_when_the_last_reader_leaves() -> None:
    closed = False

    async def work() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            closed = True

    job = Job(work)
    readers = [job.read(), job.read()]
    for reader in readers:
        await anext(reader)
    await readers[0].aclose()
    assert not closed
    await readers[1].aclose()
    assert closed
    assert job.failed


def test_fingerprints_know_what_is_the_same() -> None:
    request = CARD.request("a cat", seed=1)
    assert fingerprint({"a": 1, "b": [request]}) == fingerprint(MappingProxyType({"b": (request,), "a": 1}))
    assert fingerprint(frozenset("ab")) == fingerprint(frozenset("ba"))
    different = [request, CARD.request("a cat", seed=2), b"a", b"b", "a", None, 1, True, "1", {"a": 1}, ["a", 1]]
    assert len({fingerprint(part) for part in different}) == len(different)
    with pytest.raises(TypeError, match="no fingerprint"):
        fingerprint(object())
