"""Pixels to files, each file with its recipe in it, and recipes read back.

A recipe is written three ways: A1111's `parameters` text, which image viewers and Stable Diffusion tools read; our
own JSON under `limner`, which `limner again` reads; and the IPTC mark that a trained model made the picture
(https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia) as an XMP packet.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, cast

from limner import png, types
from limner.errors import EngineError, InvalidRequestError, StorageError
from limner.types import OUTPUT_FORMATS, RAW_RGB, RAW_RGBA, READERS, Image, ImageRequest

XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia" '
    'xmp:CreatorTool="Limner"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
# The Exif IFD, its UserComment, and the character code that such a comment begins with.
EXIF, USER_COMMENT, UTF16 = 0x8769, 0x9286, b"UNICODE\0"
# What raw rows hold, as Pillow names it; a letter is a byte of a pixel.
MODES = {RAW_RGB: "RGB", RAW_RGBA: "RGBA"}
METADATA_LEVELS = ("full", "provenance", "none")


def recipe(request: ImageRequest, seed: int, *, weights: str, version: str) -> dict[str, Any]:
    """Everything that makes the picture with this seed again: asked with n = 1 and the seed itself."""
    wish = asdict(request) | {"n": 1, "seed": seed}
    # Whoever watched gets the same file as whoever did not, and so does who had the seed drawn for him.
    del wish["partial_images"], wish["seeded"]
    # The pictures that an edit began with are not ours to hand on; that there were some is said.
    for name in ("images", "mask", "strength"):
        del wish[name]
    if request.background == "opaque":
        del wish["background"]
    for name in ("loras", "scheduler"):
        if not wish[name]:
            del wish[name]
    if request.images:
        wish |= {"sources": len(request.images), "masked": bool(request.mask), "strength": request.strength}
    return {"limner": version, "weights": weights, **wish}


def parameters(made: Mapping[str, Any]) -> str:
    """The recipe as A1111's `parameters` text."""
    lines = [made["prompt"]]
    if made["negative_prompt"]:
        lines.append(f"Negative prompt: {made['negative_prompt']}")
    facts = {
        "Steps": made["num_inference_steps"],
        "Sampler": made.get("scheduler") or "Euler",
        "CFG scale": made["guidance_scale"],
        "Seed": made["seed"],
        "Size": f"{made['width']}x{made['height']}",
        "Model hash": made["weights"],
        "Model": made["model"],
        "Version": f"limner {made['limner']}",
    }
    lines.append(", ".join(f"{key}: {value}" for key, value in facts.items() if value != ""))
    return "\n".join(lines)


def encode(image: Image, request: ImageRequest, made: Mapping[str, Any] | None, *, metadata: str = "full") -> Image:
    """The raw picture as a file in the request's format.

    `metadata`: "full" writes the recipe and the IPTC mark, "provenance" the mark and the recipe without its prompts,
    "none" nothing. A picture that is encoded already is returned as it is. The same input gives the same bytes.

    Raises:
        EngineError: the engine made a transparent picture of which a JPEG was asked.
    """
    mode = MODES.get(image.mime)
    if mode is None:
        return image
    told = dict(made) if made and metadata != "none" else None
    if told and metadata == "provenance":
        told |= {"prompt": "", "negative_prompt": ""}
    if request.output_format == "png":
        # Not Pillow's encoder, which takes many times as long.
        data = png.encode(image.data, image.width, image.height, channels=len(mode), texts=_texts(told))
    elif mode == "RGBA" and request.output_format == "jpeg":
        raise EngineError("The model made a transparent picture, which no JPEG can hold; ask for png or webp.")
    else:
        data = _by_pillow(image, mode, request, told)
    return replace(image, data=data, mime=OUTPUT_FORMATS[request.output_format])


def _texts(told: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not told:
        return []
    ours = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return [("parameters", parameters(told)), ("limner", ours), ("XML:com.adobe.xmp", XMP)]


def _by_pillow(image: Image, mode: str, request: ImageRequest, told: Mapping[str, Any] | None) -> bytes:
    import PIL.Image

    picture = PIL.Image.frombuffer(mode, (image.width, image.height), image.data, "raw", mode, 0, 1)
    buffer = io.BytesIO()
    picture.save(buffer, **_options(request, told))
    return buffer.getvalue()


def _options(request: ImageRequest, told: Mapping[str, Any] | None) -> dict[str, Any]:
    options: dict[str, Any] = {"quality": request.output_compression}
    if told:
        import PIL.Image

        exif = PIL.Image.Exif()
        # As A1111 writes it.
        exif.get_ifd(EXIF)[USER_COMMENT] = UTF16 + parameters(told).encode("utf-16-be")
        options |= {"exif": exif.tobytes(), "xmp": XMP.encode()}
    if request.output_format == "jpeg":
        # Full chroma: flat drawings show 4:2:0 at once.
        return {"format": "JPEG", "subsampling": 0, **options}
    return {"format": "WEBP", "method": 2, **options}


def inspect(data: bytes) -> tuple[types.Size, dict[str, Any] | None, str | None]:
    """Size of one of our files, and the recipe and the `parameters` text in it; None for what it does not carry.

    Raises:
        StorageError: the file is damaged.
    """
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=READERS) as picture:
            size = types.Size(width=picture.width, height=picture.height)
            made: object = json.loads(picture.info.get("limner", "null"))
            text = picture.info.get("parameters")
            comment = picture.getexif().get_ifd(EXIF).get(USER_COMMENT)
    except (OSError, ValueError, SyntaxError) as error:
        raise StorageError("The picture that is kept cannot be read; it is damaged.") from error
    if text is None and isinstance(comment, bytes):
        text = comment.removeprefix(UTF16).decode("utf-16-be", errors="replace")
    return size, cast(dict[str, Any], made) if isinstance(made, dict) else None, text


def read_recipe(data: bytes) -> dict[str, Any]:
    """The recipe in one of our PNG files.

    Raises:
        InvalidRequestError: not a PNG, or without our recipe in it.
    """
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.load()
            made: object = json.loads(picture.info.get("limner", "null"))
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InvalidRequestError("The file is not a PNG picture that can be read.", param="picture") from error
    told = cast(dict[str, Any], made) if isinstance(made, dict) else {}
    if not told.get("prompt"):
        raise InvalidRequestError(
            "The picture carries no recipe: it was not made by Limner, or with metadata switched off.", param="picture"
        )
    return told


def wishes_of(made: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as the arguments of `ModelCard.request`, its model aside.

    Raises:
        InvalidRequestError: something is missing or of another type; a recipe is a file, and files get edited. Or it
            needs a picture that no recipe holds.
    """
    if made.get("sources"):
        raise InvalidRequestError(
            "The picture was made from another picture, which its recipe does not hold; edit that one again.",
            param="picture",
        )
    texts = ("model", "prompt", "negative_prompt", "quality", "output_format")
    numbers = ("seed", "num_inference_steps", "output_compression", "width", "height")
    kinds = {**dict.fromkeys(texts, str), **dict.fromkeys(numbers, int), "guidance_scale": int | float}
    for name, kind in kinds.items():
        if not isinstance(made.get(name), kind):
            raise InvalidRequestError(
                f"The recipe in the picture is damaged: {name} is missing or wrong.", param="picture"
            )
    wishes = {name: made[name] for name in kinds if name not in ("model", "width", "height")}
    wishes |= {name: made[name] for name in ("background", "loras", "scheduler") if made.get(name)}
    return wishes | {"n": 1, "size": str(types.Size(width=made["width"], height=made["height"]))}
