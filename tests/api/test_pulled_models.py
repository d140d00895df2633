"""Pulled models as the server shows and serves them. The engine draws a gradient; lock file and folder are real."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.models.adopt import adopt
from limner.models.gallery import Gallery
from limner.models.machine import Machine
from limner.models.shelf import Pulled, Shelf
from limner.server import create_app
from limner.settings import Settings
from limner.store import MemoryStore
from limner.studio import Studio
from limner.types import ModelCard
from tests.e2e.test_hostile_models import write
from tests.e2e.test_pull import GOOD
from tests.fakes import GradientEngine

ADMIN = {"authorization": "Bearer the-admin-key"}


class Painted(GradientEngine):
    """The gradient under another card."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = replace(card, abilities=("generate",))

    def cards(self) -> list[ModelCard]:
        return [self.card]


@dataclass
class World:
    """An application with a shelf, and what it made engines of."""

    client: httpx2.AsyncClient
    shelf: Shelf
    folder: Path
    made: list[str] = field(default_factory=list)

    def pull(self, name: str, folder: str = "model") -> Pulled:
        return adopt(write(self.folder / folder, GOOD), self.shelf, name=name)

    async def draw(self, model: str) -> httpx2.Response:
        body = {"model": model, "prompt": "a cat", "size": "64x64", "response_format": "b64_json", "seed": 1}
        return await self.client.post("/v1/images/generations", json=body)

    async def models(self) -> dict[str, Any]:
        return (await self.client.get("/v1/models")).json()


Open = Callable[..., Any]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as exits:

        async def start(*, memory: int = 10**9, missing: tuple[str, ...] = (), **flags: Any) -> World:
            shelf = Shelf(tmp_path / "models.lock")
            made: list[str] = []

            def make(pulled: Pulled, card: ModelCard) -> Painted:
                made.append(pulled.name)
                return Painted(card)

            machine = Machine(device="cpu", memory=memory, missing=missing)
            gallery = Gallery(shelf, lambda: machine, keep_alive=300, make=make)
            settings = Settings.load(**{"admin_key": "the-admin-key", **flags})
            studio = Studio([GradientEngine()], guests=gallery)
            app = create_app(studio, MemoryStore(), settings, gallery)
            await exits.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app)
            client = httpx2.AsyncClient(transport=transport, base_url="http://localhost:1337")
            return World(await exits.enter_async_context(client), shelf, tmp_path, made)

        yield start


async def test_what_is_pulled_while_it_runs_can_be_asked_for(world: Open) -> None:
    here = await world()
    assert (await here.draw("mine")).status_code == 404
    here.pull("mine")
    answer = await here.draw("mine")
    assert answer.status_code == 200
    assert (answer.json()["model"], answer.headers["x-limner-model"]) == ("mine", "mine")
    here.shelf.remove("mine")
    gone = await here.draw("mine")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")


async def test_flux_is_the_pulled_flux_and_says_so(world: Open) -> None:
    here = await world()
    before = (await here.draw("flux")).json()
    here.pull("mine")
    after = await here.draw("flux")
    assert (before["model"], after.json()["model"]) == ("limner-mini", "mine")
    assert after.headers["x-limner-model"] == "mine"
    assert (await here.draw("gpt-image-1")).json()["model"] == "mine"
    # Who names no model, or ours, gets ours.
    assert (await here.draw("limner-mini")).json()["model"] == "limner-mini"
    listed = {entry["id"]: entry["limner"]["served_by"] for entry in (await here.models())["data"]}
    assert (listed["flux"], listed["mine"], listed["limner-mini"]) == ("mine", "mine", "limner-mini")


async def test_a_flux_that_is_too_large_leaves_flux_to_ours(world: Open) -> None:
    here = await world(memory=1_000_000)
    here.pull("mine")
    assert (await here.draw("flux")).json()["model"] == "limner-mini"
    refused = await here.draw("mine")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_available"
    assert "needs" in refused.json()["error"]["message"]
    assert "LIMNER_MODEL_MEMORY" in refused.json()["error"]["message"]


async def test_the_list_says_why_something_cannot_run(world: Open) -> None:
    here = await world(missing=("torch", "diffusers"))
    here.pull("mine")
    listed = await here.models()
    why = {entry["id"]: entry["why"] for entry in listed["unavailable"]}
    assert "pip install 'limner[diffusers]'" in why["mine"]
    assert "torch, diffusers" in why["mine"]
    assert why["flux-dev"] == "flux-dev is not pulled: limner pull flux-dev."
    assert "mine" not in [entry["id"] for entry in listed["data"]]
    unpulled = await here.draw("flux-dev")
    assert unpulled.status_code == 404
    assert "limner pull flux-dev" in unpulled.json()["error"]["message"]


async def test_it_is_opened_at_its_first_request_and_shown(world: Open) -> None:
    here = await world()
    here.pull("mine")

    async def state() -> dict[str, Any]:
        return (await here.client.get("/v1/models/mine")).json()["limner"]["state"]

    assert (await state())["loaded"] is False
    await here.draw("mine")
    assert (await state())["loaded"] is True
    assert 0 < (await state())["unload_in"] <= 300
    shown = (await here.client.get("/admin/ps", headers=ADMIN)).json()["models"]
    assert [(entry["name"], entry["requests"]) for entry in shown] == [("mine", 0)]
    stopped = await here.client.post("/admin/models/mine/stop", headers=ADMIN)
    assert stopped.json() == {"name": "mine", "was_loaded": True, "loaded": False}
    assert (await state())["loaded"] is False
    assert (await here.draw("mine")).status_code == 200


async def test_a_file_that_changed_is_not_loaded(world: Open) -> None:
    here = await world()
    pulled = here.pull("mine")
    (Path(pulled.folder) / "transformer/diffusion_pytorch_model.safetensors").write_bytes(b"other weights")
    broken = await here.draw("mine")
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "model_corrupt")
    assert "is not the file that was pulled" in broken.json()["error"]["message"]
    again = await here.draw("mine")
    assert (again.status_code, again.json()["error"]["code"]) == (503, "model_corrupt")
    assert again.headers["retry-after"] == "10"
    # The others go on.
    assert (await here.draw("limner-mini")).status_code == 200


async def test_a_touched_file_with_the_same_bytes_is_loaded(world: Open) -> None:
    here = await world()
    (Path(here.pull("mine").folder) / "model_index.json").touch()
    assert (await here.draw("mine")).status_code == 200


async def test_a_lock_that_cannot_be_read_changes_nothing(world: Open) -> None:
    here = await world()
    here.pull("mine")
    assert (await here.draw("mine")).status_code == 200
    here.shelf.path.write_text("{")
    assert (await here.draw("mine")).status_code == 200


async def test_models_are_managed_with_the_admin_key_only(world: Open) -> None:
    here = await world(api_key="a-client-key")
    here.pull("mine")
    routes = [
        ("GET", "/admin/models"),
        ("GET", "/admin/models/mine"),
        ("GET", "/admin/ps"),
        ("POST", "/admin/models/pull"),
        ("POST", "/admin/models/mine/stop"),
        ("DELETE", "/admin/models/mine"),
    ]
    for method, path in routes:
        for key in ({}, {"authorization": "Bearer a-client-key"}):
            answer = await here.client.request(method, path, headers=key)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error"), path
    assert (await here.client.get("/admin/models", headers=ADMIN)).json()["models"][0]["name"] == "mine"


async def test_without_an_admin_key_nobody_may(world: Open) -> None:
    here = await world(admin_key="")
    answer = await here.client.get("/admin/models", headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_off")
    assert "LIMNER_ADMIN_KEY" in answer.json()["error"]["message"]


async def test_shown_and_removed_over_http(world: Open) -> None:
    here = await world()
    here.pull("a/model")
    await here.draw("a/model")
    shown = (await here.client.get("/admin/models/a/model", headers=ADMIN)).json()
    assert (shown["pipeline"], shown["why_not"], shown["state"]["loaded"]) == ("FluxPipeline", "", True)
    removed = await here.client.delete("/admin/models/a/model", headers=ADMIN)
    assert removed.json() == {"name": "a/model", "removed": True, "bytes_freed": 0}
    assert (await here.client.get("/admin/models/a/model", headers=ADMIN)).status_code == 404
    assert (await here.draw("a/model")).status_code == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "model"), ({"model": ""}, "model"), ({"model": 7}, "model"), ({"model": "x", "folder": "/"}, "folder"),
     ({"model": "x", "accept_licence": "yes"}, "accept_licence")],
)  # fmt: skip
async def test_a_pull_that_makes_no_sense(world: Open, body: dict[str, Any], param: str) -> None:
    here = await world()
    answer = await here.client.post("/admin/models/pull", headers=ADMIN, content=json.dumps(body))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
