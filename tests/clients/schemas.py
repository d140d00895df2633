"""The answers of OpenAI's images API as its published specification describes them, written down as facts.

An optional field has a default, and may still not be null: the specification lets it be absent only. Keys that the
specification does not know are allowed, as it allows them.
"""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter


def _decoded(value: object) -> bytes:
    assert isinstance(value, str), "base64 is a string"
    return base64.b64decode(value, validate=True)


Base64 = Annotated[bytes, BeforeValidator(_decoded)]
Size = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*x[1-9][0-9]*$")]
Count = Annotated[int, Field(ge=0)]
Background = Literal["transparent", "opaque"]
OutputFormat = Literal["png", "jpeg", "webp"]


class Schema(BaseModel):
    """No conversion: "5" is no number here."""

    model_config = ConfigDict(strict=True, extra="allow")


class TokenDetails(Schema):
    """ImageGenUsage.input_tokens_details."""

    text_tokens: Count
    image_tokens: Count


class StreamUsage(Schema):
    """ImagesUsage, of the streamed events."""

    input_tokens: Count
    output_tokens: Count
    total_tokens: Count
    input_tokens_details: TokenDetails


class Usage(StreamUsage):
    """ImageGenUsage."""

    # Optional in the specification.
    output_tokens_details: TokenDetails


class Picture(Schema):
    """Image."""

    b64_json: Base64 = b""
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+/.+\.(png|jpg|jpeg|webp)$")] = ""
    revised_prompt: str = ""


class ImagesResponse(Schema):
    """The answer of generations, edits and variations that are not streamed."""

    created: Annotated[int, Field(gt=1_600_000_000)]
    # Optional in the specification; most clients fail without it.
    data: Annotated[list[Picture], Field(min_length=1, max_length=10)]
    background: Background = "opaque"
    output_format: OutputFormat = "png"
    # The specification lists three sizes, and newer models answer with any.
    size: Size = "1024x1024"
    quality: Literal["low", "medium", "high"] = "medium"
    usage: Usage = None  # type: ignore[assignment]


class StreamEvent(Schema):
    """What the four events of a stream have in common."""

    b64_json: Annotated[Base64, Field(min_length=1)]
    created_at: Annotated[int, Field(gt=1_600_000_000)]
    size: Size
    quality: Literal["low", "medium", "high", "auto"]
    background: Literal["transparent", "opaque", "auto"]
    output_format: OutputFormat


class Partial(StreamEvent):
    """image_generation.partial_image and image_edit.partial_image."""

    type: Literal["image_generation.partial_image", "image_edit.partial_image"]
    partial_image_index: Annotated[int, Field(ge=0)]


class Completed(StreamEvent):
    """image_generation.completed and image_edit.completed."""

    type: Literal["image_generation.completed", "image_edit.completed"]
    usage: StreamUsage


AnyEvent = TypeAdapter(Annotated[Partial | Completed, Field(discriminator="type")])


class ErrorDetail(Schema):
    """All four keys must be there; two may be null."""

    message: Annotated[str, StringConstraints(min_length=1)]
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Schema):
    """Every answer that is not a success."""

    error: ErrorDetail


class ErrorEvent(ErrorResponse):
    """What ends a stream that fails after it has begun."""

    type: Literal["error"]


class Model(Schema):
    """An entry of GET /models."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Schema):
    """GET /models."""

    object: Literal["list"]
    data: list[Model]


def check_images(answer: Any) -> ImagesResponse:
    """The answer, which is as the specification says or fails here."""
    found = ImagesResponse.model_validate(answer)
    usage = found.usage
    if "usage" in answer:
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
        details = usage.input_tokens_details
        assert usage.input_tokens == details.text_tokens + details.image_tokens
        made = usage.output_tokens_details
        assert usage.output_tokens == made.text_tokens + made.image_tokens
    return found


def check_events(events: list[Any], kind: str, partial: int) -> bytes:
    """The finished picture of a whole stream of one: partial pictures counted from 0, then the finished one."""
    found = [AnyEvent.validate_python(event) for event in events]
    names = [event.type for event in found]
    assert names == [f"{kind}.partial_image"] * partial + [f"{kind}.completed"], names
    assert [event.partial_image_index for event in found if isinstance(event, Partial)] == list(range(partial))
    return found[-1].b64_json
