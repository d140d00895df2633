"""An answer's pieces: the bytes that go out, their length, and how few of them are made ahead of the client."""

import asyncio
import base64
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from limner.server.pieces import RAW_SLICE, SLICE, Base64, Chunk, Piece, Pieces, gathered, length, slices

PIECES = st.lists(st.one_of(st.binary(max_size=50), st.binary(max_size=50).map(Base64)), max_size=8)


def plain(pieces: list[Piece]) -> bytes:
    return b"".join(base64.b64encode(p.data) if isinstance(p, Base64) else p for p in pieces)


@given(PIECES)
def test_what_goes_out_is_what_was_meant(pieces: list[Piece]) -> None:
    assert b"".join(slices(pieces)) == plain(pieces)
    assert length(pieces) == len(plain(pieces))


def test_large_pieces_go_out_in_slices() -> None:
    big = bytes(range(256)) * (5 * RAW_SLICE // 256) + b"end"
    pieces: list[Piece] = [b"head", Base64(big), b"between", big, b"tail"]
    parts = list(slices(pieces))
    assert b"".join(parts) == plain(pieces)
    assert len(parts) >= 9
    assert max(map(len, parts)) < 2 * SLICE


async def sent(pieces: Chunk, room: asyncio.Semaphore) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        await room.acquire()
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing more is read")

    answer = Pieces(pieces, media_type="application/json", headers={"x-a": "b"})
    await asyncio.wait_for(answer({"type": "http"}, receive, send), 10)
    return messages


async def test_an_answer_says_its_length_and_ends() -> None:
    pieces = (b'{"a":"', Base64(bytes(3 * RAW_SLICE)), b'"}')
    start, *bodies = await sent(pieces, asyncio.Semaphore(100))
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(length(pieces)).encode()
    assert (headers[b"x-a"], headers[b"content-type"]) == (b"b", b"application/json")
    assert b"".join(body["body"] for body in bodies) == plain(list(pieces))
    assert [body["more_body"] for body in bodies] == [True] * (len(bodies) - 1) + [False]


async def test_an_empty_answer_ends_too() -> None:
    start, body = await sent((), asyncio.Semaphore(100))
    assert dict(start["headers"])[b"content-length"] == b"0"
    assert (body["body"], body["more_body"]) == (b"", False)


async def test_nothing_is_made_for_a_client_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its base64 text is made as it is taken: a slice ahead, and no more."""
    made = 0

    def encode(data: memoryview) -> bytes:
        nonlocal made
        made += 1
        return base64.b64encode(data)

    monkeypatch.setattr("limner.b64.encode", encode)
    room = asyncio.Semaphore(1)
    sending = asyncio.create_task(sent((Base64(bytes(20 * RAW_SLICE)),), room))
    for taken in range(1, 5):
        for _ in range(5):
            await asyncio.sleep(0)
        assert made <= taken + 2
        room.release()
    for _ in range(30):
        room.release()
    await sending
    assert made == 20


async def test_pieces_of_all_chunks_come_together() -> None:
    closed = False

    async def chunks() -> AsyncGenerator[Chunk, None]:
        nonlocal closed
        try:
            yield (b"a", Base64(b"b"))
            yield (b"c",)
        finally:
            closed = True

    assert await gathered(chunks()) == (b"a", Base64(b"b"), b"c")
    assert closed
