"""What a client got, looked at."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import PIL.Image


def opened(data: bytes | str) -> PIL.Image.Image:
    """A picture from its bytes or its base64, decoded whole."""
    image = PIL.Image.open(io.BytesIO(base64.b64decode(data, validate=True) if isinstance(data, str) else data))
    image.load()
    return image


def gave(deeds: Mapping[str, Any], name: str) -> Any:
    """What a deed gave; a failure when it raised."""
    assert "gave" in deeds[name], deeds[name]
    return deeds[name]["gave"]


def threw(deeds: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a deed raised."""
    assert "threw" in deeds[name], "it raised nothing"
    return deeds[name]["threw"]
