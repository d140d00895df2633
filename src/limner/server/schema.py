"""Shapes of the answers, for the OpenAPI description. Nothing is validated with them at run time."""

from typing import Any, Literal

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail


class Picture(BaseModel):
    """One picture: `url`, `b64_json` or both, as `response_format` asks."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str
    seed: int


class TokenDetails(BaseModel):
    """Tokens by kind."""

    text_tokens: int
    image_tokens: int


class Usage(BaseModel):
    """One token for four bytes of prompt, one for 16x16 pixels of picture."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: TokenDetails
    output_tokens_details: TokenDetails


class Images(BaseModel):
    """Pictures that were made, and by which model."""

    created: int
    model: str
    data: list[Picture]
    background: Literal["opaque", "transparent"]
    output_format: Literal["png", "jpeg", "webp"]
    quality: str
    size: str
    usage: Usage


# One event of a stream, as OpenAPI 3.2 and its readers describe server-sent events.
EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

IMAGES: dict[str, Any] = {
    "model": Images,
    "description": "The pictures; with `stream`, events whose names are image_generation.partial_image, "
    "image_generation.completed and error",
    "content": {"text/event-stream": {"schema": EVENT}},
}


class Record(BaseModel):
    """A kept picture. `recipe` is null where the file carries none, as JPEG and WebP do; `parameters` is its text."""

    id: str
    object: Literal["image"]
    state: Literal["succeeded"]
    created: int
    expires_at: int
    url: str
    output_format: Literal["png", "jpeg", "webp"]
    bytes: int
    size: str
    recipe: dict[str, Any] | None
    parameters: str | None


class Deleted(BaseModel):
    """A picture that was kept."""

    id: str
    object: Literal["image"]
    deleted: Literal[True]


class File(BaseModel):
    """A picture that was sent to be edited later."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["processed"]


class DeletedFile(BaseModel):
    """A file that was kept."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class Card(BaseModel):
    """What a model accepts and where it comes from."""

    title: str
    about: str
    licence: str
    served_by: str
    abilities: list[str]
    knobs: list[str]
    schedulers: list[str]
    sizes: dict[str, Any]
    defaults: dict[str, Any]
    limits: dict[str, Any]
    weights: str
    state: dict[str, Any] | None = None


class Model(BaseModel):
    """A name that requests may use."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    limner: Card


class Unavailable(BaseModel):
    """A model that somebody may ask for and that cannot run here."""

    id: str
    why: str


class Models(BaseModel):
    """All names that requests may use."""

    object: Literal["list"]
    data: list[Model]
    unavailable: list[Unavailable]


# What a pull takes, and what it answers.
PULL_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["model"],
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string", "minLength": 1, "description": "A name of the catalogue, or OWNER/NAME[@REVISION]"},
        "name": {"type": ["string", "null"], "description": "What requests will call it"},
        "variant": {"type": ["string", "null"], "description": "Which of several sets of weights, such as fp16"},
        "accept_licence": {"type": ["boolean", "null"]},
        "stream": {"type": ["boolean", "null"], "description": "false: one answer, when it is done"},
    },
}
PULL: dict[str, Any] = {
    "description": "Lines of JSON: how far it is, and last the model or an error; with stream false, the last alone",
    "content": {"application/x-ndjson": {"schema": {"type": "string"}}, "application/json": {"schema": {}}},
}


class Pulled(BaseModel):
    """Models that were pulled."""

    models: list[dict[str, Any]]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Queue(BaseModel):
    """Who waits, and the seconds until all that is here now would be done, as reckoned."""

    waiting: int
    max: int
    seconds: float
    max_seconds: float


class Ready(BaseModel):
    """The server takes work."""

    status: Literal["ready"]
    model: str
    queue: Queue


PROBLEM: dict[str, Any] = {"model": Error, "description": "The error object"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Rows for a route's `responses`: what any route may answer, and `statuses` besides."""
    any_route = {400, 403, 404, 405, 408, 413, 431, 500, 503}
    # "default" is all others; it also keeps the framework from describing a 422, which no route gives.
    return dict.fromkeys((*sorted(any_route.union(statuses)), "default"), PROBLEM)
