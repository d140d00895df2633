"""The Python client: `Client` and `AsyncClient`, for Limner and for other servers of the images API.

with limner.Client() as client:
    client.generate("a cat", size="512x512", seed=7)[0].save("cat.png")
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from limner.exchange import Plan, Plans, Wishes
from limner.picture import Picture

if TYPE_CHECKING:
    import httpx2

_T = TypeVar("_T")


class Client(Plans["httpx2.Client"]):
    """Asks a server for pictures, blocking. Safe to use from several threads; close it, or use `with`."""

    def _open(self, options: dict[str, Any]) -> "httpx2.Client":
        import httpx2

        return httpx2.Client(**options)

    def generate(self, prompt: str, **wishes: Unpack[Wishes]) -> list[Picture]:
        """Draw `prompt`: a list of `n` pictures, one where `n` is not given. `Wishes` says what else it takes.

        Raises:
            LimnerError: the same class that the server raised.
            ConnectionFailedError: nothing answers, or not in time.
        """
        return self._run(self._generate(prompt, wishes))

    def models(self) -> list[dict[str, Any]]:
        """What the server can draw with, as /v1/models tells it: id, created, owned_by, and the card's fields."""
        return self._run(self._models())

    def answers(self) -> bool:
        """Whether a Limner server is there and takes work; within two seconds, whatever goes wrong."""
        return self._run(self._answers())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, plan: Plan[_T]) -> _T:
        import httpx2

        answer = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            if isinstance(step, int | float):
                time.sleep(step)
                continue
            try:
                answer = self._http.send(step)
            except httpx2.RequestError as error:
                answer = self._lost(error)


class AsyncClient(Plans["httpx2.AsyncClient"]):
    """Asks a server for pictures, with asyncio. Close it, or use `async with`."""

    def _open(self, options: dict[str, Any]) -> "httpx2.AsyncClient":
        import httpx2

        return httpx2.AsyncClient(**options)

    async def generate(self, prompt: str, **wishes: Unpack[Wishes]) -> list[Picture]:
        """As `Client.generate`. Cancelling it stops the work on the server within one step."""
        return await self._run(self._generate(prompt, wishes))

    async def models(self) -> list[dict[str, Any]]:
        """As `Client.models`."""
        return await self._run(self._models())

    async def answers(self) -> bool:
        """As `Client.answers`."""
        return await self._run(self._answers())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, plan: Plan[_T]) -> _T:
        import httpx2

        answer = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            if isinstance(step, int | float):
                await asyncio.sleep(step)
                continue
            try:
                answer = await self._http.send(step)
            except httpx2.RequestError as error:
                answer = self._lost(error)
