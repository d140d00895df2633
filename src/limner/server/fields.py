"""What the body of a generation request may hold, in one table.

Reading the body (`wire`), the names in `x-limner-ignored` and the OpenAPI description all follow it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.loras import MAX_LORAS, MAX_SCALE


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of the request."""

    name: str
    # JSON Schema type: string, integer, number, boolean or array; or "seed", an integer or a list of them.
    kind: str
    # For people.
    about: str
    # Names that other servers and their clients use for it.
    aliases: tuple[str, ...] = ()
    # Further JSON Schema.
    schema: Mapping[str, Any] | None = None
    # Passed to the model card; the others are dealt with here.
    wish: bool = False
    # Accepted, without effect: named in x-limner-ignored.
    ignored: bool = False

    @property
    def type(self) -> str:
        """JSON Schema type of one value."""
        return "integer" if self.kind == "seed" else self.kind


FIELDS: tuple[Field, ...] = (
    Field(name="prompt", kind="string", about="What to draw.", schema={"minLength": 1, "maxLength": 32_000}),
    Field(name="model", kind="string", about="A name of /v1/models; the default model when absent."),
    Field(
        name="n",
        kind="integer",
        about="How many pictures; 0 is 1.",
        aliases=("batch_size", "num_images_per_prompt", "num_images"),
        schema={"minimum": 0, "maximum": 10},
        wish=True,
    ),
    Field(
        name="size",
        kind="string",
        about='WIDTHxHEIGHT in pixels, a ratio such as "16:9" at about the area of the model\'s own size, or "auto".',
        aliases=("image_size", "aspect_ratio"),
        schema={"examples": ["512x512"]},
        wish=True,
    ),
    Field(name="width", kind="integer", about="With height, another way to say size.", schema={"minimum": 1}),
    Field(name="height", kind="integer", about="With width, another way to say size.", schema={"minimum": 1}),
    Field(
        name="response_format",
        kind="string",
        about="url, b64_json, or base64, which is the same. null is url; absent gives b64_json for gpt-image names, "
        "url for dall-e names, and both for others.",
        schema={"enum": ["url", "b64_json", "base64"]},
    ),
    Field(
        name="output_format",
        kind="string",
        about="File format of the pictures.",
        schema={"enum": ["png", "jpeg", "jpg", "webp"]},
        wish=True,
    ),
    Field(
        name="output_compression",
        kind="integer",
        about="Quality of jpeg and webp, 100 is best.",
        schema={"minimum": 0, "maximum": 100},
        wish=True,
    ),
    Field(
        name="quality",
        kind="string",
        about="auto, low, medium, high, standard or hd: how many steps, when num_inference_steps is absent.",
        wish=True,
    ),
    Field(name="user", kind="string", about="Your name for your user; not stored."),
    Field(
        name="seed",
        kind="seed",
        about="The same seed gives the same picture; -1 is any. Or a list of seeds that follow on each other, one for "
        "each picture.",
        aliases=("rng_seed",),
        schema={"minimum": -1, "maximum": 2**32 - 1},
        wish=True,
    ),
    Field(
        name="num_inference_steps",
        kind="integer",
        about="Denoising steps.",
        aliases=("steps", "step", "sampling_steps", "sample_steps"),
        schema={"minimum": 1},
        wish=True,
    ),
    Field(
        name="guidance_scale",
        kind="number",
        about="How strongly the prompt pulls; 1 is plain.",
        aliases=("cfg_scale", "guidance", "cfg", "true_cfg_scale"),
        schema={"minimum": 0},
        wish=True,
    ),
    Field(
        name="negative_prompt",
        kind="string",
        about="What to keep away from.",
        schema={"maxLength": 32_000},
        wish=True,
    ),
    Field(
        name="scheduler",
        kind="string",
        about="One of the model's schedulers, such as euler; its own when absent. Models that have one only take any, "
        "without effect.",
        aliases=("sampler", "sampler_name", "sample_method", "schedule_method"),
        schema={"maxLength": 40},
        wish=True,
    ),
    Field(
        name="loras",
        kind="array",
        about="LoRAs to add, each with the name of a file in the server's folder of them, and a scale.",
        schema={
            "maxItems": MAX_LORAS,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "path": {"type": "string"},
                    "scale": {"type": ["number", "null"], "minimum": -MAX_SCALE, "maximum": MAX_SCALE},
                },
                "additionalProperties": False,
            },
        },
        wish=True,
    ),
    Field(
        name="background",
        kind="string",
        about="auto, opaque or transparent; auto is opaque, and transparent needs png or webp.",
        schema={"enum": ["auto", "opaque", "transparent"]},
        wish=True,
    ),
    Field(name="stream", kind="boolean", about="Answer with events while the pictures are drawn."),
    Field(
        name="partial_images",
        kind="integer",
        about="Previews of each picture while it is drawn; with stream only.",
        schema={"minimum": 0, "maximum": 3},
        wish=True,
    ),
    Field(name="style", kind="string", about="Without effect.", ignored=True),
    Field(name="moderation", kind="string", about="Without effect.", ignored=True),
)
# What a request that begins with pictures may hold besides.
VARY_FIELDS: tuple[Field, ...] = (
    *FIELDS,
    Field(
        name="strength",
        kind="number",
        about="How far the result may leave the picture: 0 keeps it, 1 begins afresh.",
        aliases=("denoising_strength", "prompt_strength"),
        schema={"minimum": 0, "maximum": 1},
        wish=True,
    ),
)
EDIT_FIELDS: tuple[Field, ...] = (
    *VARY_FIELDS,
    Field(
        name="input_fidelity",
        kind="string",
        about="low or high: the strength, when strength is absent.",
        schema={"enum": ["low", "high"]},
        wish=True,
    ),
)


def names_of(table: Sequence[Field]) -> dict[str, Field]:
    """Every name that a field may have, with the field."""
    return {name: field for field in table for name in (field.name, *field.aliases)}


def request_schema(table: Sequence[Field] = FIELDS, title: str = "ImageGenerationRequest") -> dict[str, Any]:
    """JSON Schema of the body, from a table. Aliases are named in the descriptions."""
    properties: dict[str, Any] = {}
    for field in table:
        also = f" Also: {', '.join(field.aliases)}." if field.aliases else ""
        schema = {"type": field.type, "description": field.about + also} | dict(field.schema or {})
        if field.name != "prompt":
            schema["type"] = [field.type, "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        properties[field.name] = schema
    return {
        "type": "object",
        "title": title,
        "required": ["prompt"],
        "properties": properties,
        "examples": [{"model": "flux", "prompt": "a cat", "size": "256x256"}],
    }


def upload_content(table: Sequence[Field], *, masked: bool) -> dict[str, Any]:
    """The two ways to send a body with pictures, for the OpenAPI description."""
    title = "ImageEdit" if masked else "ImageVariation"
    written = request_schema(table, f"{title}Request")
    needed = ["prompt"] if masked else []
    reference = {
        "type": "object",
        "properties": {
            "image_url": {
                "type": "string",
                "description": "A data URL: data:image/png;base64, and the file in base64. Or one that begins with "
                "https://, where the server's setting fetch_hosts allows it.",
            },
            "file_id": {"type": "string", "description": "Instead of image_url: the id of a file, or of a picture."},
        },
    }
    file = {"type": "string", "format": "binary"}
    images = {"type": "array", "minItems": 1, "maxItems": 16}
    about = {"description": "PNG, JPEG or WebP; what is transparent, or else white, is drawn anew."}
    in_json = {"images": {**images, "items": reference}} | ({"mask": {**reference, **about}} if masked else {})
    in_form = {"image": {**images, "items": file}} | ({"mask": {**file, **about}} if masked else {})
    # A form has no null: what is not set is left out, or empty.
    texts = {name: {"type": "string", "description": of["description"]} for name, of in written["properties"].items()}
    json_schema = {**written, "required": [*needed, "images"], "properties": {**written["properties"], **in_json}}
    del json_schema["examples"]
    form_schema = {
        "type": "object",
        "title": f"{title}Form",
        "required": [*needed, "image"],
        "properties": {**texts, **in_form},
    }
    return {"multipart/form-data": {"schema": form_schema}, "application/json": {"schema": json_schema}}
