"""Answers: what is kept of those that are made, and for how long."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers

from limner.server.pieces import Base64, Chunk
from limner.server.retries import Answer, Answers

RETRY = Headers({"x-stainless-retry-count": "2"})


async def answered(answers: Answers, wish: object, *, size: int = 10, headers: Headers = RETRY) -> bool:
    """Ask for `wish`, read the answer to its end; whether another request had begun it."""

    async def work() -> AsyncGenerator[Chunk, None]:
        yield (b"x" * size,)

    answer, joined = answers.join(headers, "caller", wish, lambda: Answer(work, {}))
    assert [chunk async for chunk in answer.read()] == [(b"x" * size,)]
    await asyncio.sleep(0)
    return joined


async def test_an_answer_is_kept() -> None:
    answers = Answers()
    assert [await answered(answers, "a"), await answered(answers, "a")] == [False, True]


async def test_an_old_answer_is_forgotten() -> None:
    answers = Answers(seconds=0)
    assert [await answered(answers, "a"), await answered(answers, "a")] == [False, False]


async def test_the_oldest_go_when_the_bytes_are_too_many() -> None:
    answers = Answers(size=25)
    for wish in "abc":
        await answered(answers, wish)
    assert [await answered(answers, wish) for wish in "bca"] == [True, True, False]


async def test_the_oldest_go_when_the_answers_are_too_many() -> None:
    answers = Answers(count=2)
    for wish in "abc":
        await answered(answers, wish)
    assert [await answered(answers, wish) for wish in "bca"] == [True, True, False]


async def test_an_answer_over_the_limit_is_not_kept() -> None:
    answers = Answers(size=5)
    assert [await answered(answers, "a"), await answered(answers, "a")] == [False, False]


async def test_an_answer_that_another_took_the_place_of_counts_once() -> None:
    """The same request without a mark of a retry is new work, and its answer stands where the first stood."""
    answers = Answers(size=25)
    for _ in range(5):
        assert not await answered(answers, "a", headers=Headers())
    await answered(answers, "b")
    assert [await answered(answers, wish) for wish in "ab"] == [True, True]


async def test_pictures_count_as_what_goes_out() -> None:
    async def work() -> AsyncGenerator[Chunk, None]:
        yield (Base64(bytes(30)),)

    for size, kept in ((40, True), (39, False)):
        answers = Answers(size=size)
        for again in (False, True):
            answer, joined = answers.join(RETRY, "caller", "a", lambda: Answer(work, {}))
            assert [chunk async for chunk in answer.read()] == [(Base64(bytes(30)),)]
            await asyncio.sleep(0)
            assert joined is (again and kept)
