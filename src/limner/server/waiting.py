"""Work goes on only while somebody waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from limner.errors import InvalidRequestError, NotReadyError
from limner.server.context import Life

_T = TypeVar("_T")


async def while_wanted(receive: Receive, life: Life, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of `work`, which is cancelled as soon as the client hangs up or the server's time is over.

    Raises:
        InvalidRequestError: the client hung up; `code` is "cancelled".
        NotReadyError: the server stopped before the work was done.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(receive))
    over = asyncio.ensure_future(life.over.wait())
    tasks = (working, gone, over)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if over.done():
            raise NotReadyError("The server stopped before the picture was done.", code="draining", retry_after=2)
        raise InvalidRequestError("The client hung up.", code="cancelled")
    finally:
        for task in tasks:
            task.cancel()
        # Cancelling `working` closes the engine's iterator; this waits for the step that is under way.
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
