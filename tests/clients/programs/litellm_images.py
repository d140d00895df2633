"""litellm as a client, as its users write it: litellm_images.py BASE_URL PICTURE MASK."""

import sys
from typing import Any

import litellm

from report import report

base, picture, mask = sys.argv[1:]
here = {"api_base": base, "api_key": "local", "num_retries": 0}


def generate(model: str, **wishes: object) -> Any:
    return litellm.image_generation(model=f"openai/{model}", prompt="a cat", **here, **wishes).model_dump()


def edit(*, as_list: bool, masked: bool) -> Any:
    with open(picture, "rb") as image, open(mask, "rb") as area:
        wishes: dict[str, Any] = {"image": [image] if as_list else image} | ({"mask": area} if masked else {})
        return litellm.image_edit(model="openai/gpt-image-1", prompt="a dog", **wishes, **here).model_dump()


report(
    {
        "generate": lambda: generate("flux", size="256x256"),
        "plain": lambda: generate("gpt-image-1"),
        # It refuses to pass response_format on for a model that it does not know, but for this one it does.
        "url": lambda: generate("dall-e-3", size="1024x1024", response_format="url"),
        "seed": lambda: [generate("flux", seed=7, size="256x256") for _ in range(2)],
        "edit": lambda: edit(as_list=False, masked=False),
        "edit_list": lambda: edit(as_list=True, masked=True),
        "unknown": lambda: generate("fluxx"),
    }
)
