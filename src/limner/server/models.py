"""GET /v1/models: every name that a request may use, each with the card of the model that answers to it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from limner.errors import ModelNotFoundError
from limner.server import schema
from limner.server.addresses import spelled
from limner.server.auth import with_key
from limner.server.context import Here
from limner.types import ModelCard

router = APIRouter(dependencies=with_key, tags=["models"])


@spelled(
    router.get,
    "/v1/models",
    summary="List the models",
    responses={200: {"model": schema.Models}, **schema.problems(401)},
)
async def models(here: Here) -> dict[str, Any]:
    """Names and aliases; `limner.served_by` is the model behind each. `unavailable` says why others cannot be used."""
    states: Mapping[str, Mapping[str, Any]] = here.gallery.states() if here.gallery else {}
    data = [_entry(name, card, states.get(card.id)) for name, card in here.studio.names().items()]
    absent = [{"id": name, "why": why} for name, why in here.studio.absent().items()]
    return {"object": "list", "data": data, "unavailable": absent}


@router.get(
    "/v1/models/{name:path}",
    summary="One model",
    responses={200: {"model": schema.Model}, **schema.problems(401)},
)
@router.get("/models/{name:path}", include_in_schema=False)
async def model(name: str, here: Here) -> dict[str, Any]:
    """A name's entry; names may hold slashes."""
    wanted = name.rstrip("/")
    if not wanted:
        raise ModelNotFoundError("The name of a model is missing; /v1/models lists them.", param="model")
    card = here.studio.card(wanted)
    return _entry(wanted, card, here.gallery.states().get(card.id) if here.gallery else None)


def _entry(name: str, card: ModelCard, state: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": card.created,
        "owned_by": card.owned_by,
        "limner": {
            "title": card.title,
            "about": card.about,
            "licence": card.licence,
            "served_by": card.id,
            "abilities": list(card.abilities),
            "knobs": sorted(card.knobs),
            "schedulers": list(card.schedulers),
            "sizes": {"native": str(card.native), "min_side": card.min_side, "max_side": card.max_side},
            "defaults": {
                "size": str(card.native),
                "quality": card.default_quality,
                "num_inference_steps": card.quality_steps[card.default_quality],
                "guidance_scale": card.default_guidance,
                "output_format": "png",
                "n": 1,
            },
            "limits": {
                "n": card.max_n,
                "num_inference_steps": card.max_steps,
                "guidance_scale": card.max_guidance,
                "quality": dict(card.quality_steps),
            },
            "weights": card.weights,
            # Models that come and go: whether it is in memory, what it takes there, and when it goes.
            **({"state": state} if state else {}),
        },
    }
