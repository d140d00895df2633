"""The names that other servers of images and their clients use, each with the effect that our own name has."""

import logging
from typing import Any

import httpx2
import pytest

from limner.server.fields import EDIT_FIELDS, names_of
from limner.types import ImageRequest
from tests.conftest import Called
from tests.sending import EDITS, GENERATIONS, coloured, data_url, form

# A wish and what the request has then: every row of the contract's tables of other servers' names.
ROWS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *(({name: 3}, {"num_inference_steps": 3})
      for name in ("num_inference_steps", "steps", "step", "sampling_steps", "sample_steps")),
    *(({name: 2.5}, {"guidance_scale": 2.5})
      for name in ("guidance_scale", "cfg_scale", "guidance", "cfg", "true_cfg_scale")),
    *(({name: 9}, {"seed": 9}) for name in ("seed", "rng_seed")),
    ({"seed": [9]}, {"seed": 9}),
    ({"seed": [9, 10], "n": 2}, {"seed": 9, "n": 2}),
    ({"seed": [9, 10, 11]}, {"seed": 9, "n": 3}),
    ({"guidance_scale": 3}, {"guidance_scale": 3.0}),
    ({"negative_prompt": "blur", "guidance": 2}, {"negative_prompt": "blur"}),
    *(({name: 2}, {"n": 2}) for name in ("n", "batch_size", "num_images_per_prompt", "num_images")),
    *(({name: zero}, {"n": 1}) for name in ("n", "batch_size") for zero in (0, "0", None)),
    *(({name: size}, {"width": 128, "height": 64})
      for name in ("size", "image_size") for size in ("128x64", "128*64", "128×64", "128X64")),
    ({"size": ""}, {"width": 256, "height": 256}),
    ({"width": 128, "height": "64"}, {"width": 128, "height": 64}),
    ({"aspect_ratio": "1:1"}, {"width": 256, "height": 256}),
    ({"aspect_ratio": "16:9"}, {"width": 344, "height": 192}),
    ({"aspect_ratio": "9:16"}, {"width": 192, "height": 344}),
    ({"size": "2:1"}, {"width": 360, "height": 184}),
    ({"quality": "xhigh"}, {"quality": "high"}),
    ({"output_format": "jpg"}, {"output_format": "jpeg"}),
]  # fmt: skip


async def asked(called: Called, path: str, **sent: Any) -> tuple[ImageRequest, httpx2.Response]:
    answer = await called.client.post(path, **sent)
    assert answer.status_code == 200, answer.text
    return called.engine.asked[-1], answer


@pytest.mark.parametrize(("wish", "found"), ROWS)
async def test_a_name_of_others_has_its_effect(called: Called, wish: dict[str, Any], found: dict[str, Any]) -> None:
    request, answer = await asked(called, GENERATIONS, json={"prompt": "a cat", **wish})
    assert {name: getattr(request, name) for name in found} == found
    assert "x-limner-ignored" not in answer.headers
    if "seed" in wish and isinstance(wish["seed"], list):
        return
    texts = [(name, "" if value is None else str(value)) for name, value in wish.items()]
    request, answer = await asked(called, EDITS, **form([("prompt", "a cat"), ("image", coloured()), *texts]))
    found = {name: value for name, value in found.items() if wish != {"size": ""}}
    assert {name: getattr(request, name) for name in found} == found


@pytest.mark.parametrize("name", ["strength", "denoising_strength", "prompt_strength"])
async def test_strength(called: Called, name: str) -> None:
    request, _ = await asked(called, EDITS, **form([("prompt", "P"), ("image", coloured()), (name, "0.25")]))
    assert request.strength == 0.25


@pytest.mark.parametrize(
    "name", ["scheduler", "sampler", "sampler_name", "sample_method", "schedule_method", "style", "moderation",
             "provider", "api_key", "download_media", "resolution", "enable_teacache", "lora_alphas", "clip_skip"]
)  # fmt: skip
async def test_what_has_no_effect_is_taken_and_named(
    called: Called, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="limner"):
        _, answer = await asked(called, GENERATIONS, json={"prompt": "a cat", name: "x"})
    known = names_of(EDIT_FIELDS).get(name)
    assert answer.headers["x-limner-ignored"] == (known.name if known else name)
    assert f"without effect: {answer.headers['x-limner-ignored']}" in caplog.text


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"seed": [1, 3]}, "seed"), ({"seed": []}, "seed"), ({"seed": [1, "x"]}, "seed"), ({"seed": [[1]]}, "seed"),
        ({"aspect_ratio": "0:1"}, "size"), ({"aspect_ratio": "99:1"}, "size"), ({"aspect_ratio": "wide"}, "size"),
        ({"aspect_ratio": "1:1", "size": "64x64"}, "size"), ({"cfg": 99}, "guidance_scale"),
        ({"step": 99}, "num_inference_steps"),
        ({"batch_size": 99}, "n"), ({"rng_seed": -2}, "seed"), ({"strength": 2, "image": "IMAGE"}, "strength"),
    ],
)  # fmt: skip
async def test_values_out_of_range_are_refused_and_never_clamped(
    called: Called, wish: dict[str, Any], param: str
) -> None:
    wish = wish | ({"image": data_url(coloured())} if "image" in wish else {})
    answer = await called.client.post(GENERATIONS, json={"prompt": "a cat", **wish})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not called.engine.asked


async def test_siliconflows_clients_read_a_list_of_their_own(client: httpx2.AsyncClient) -> None:
    body = {
        "model": "flux", "prompt": "P", "negative_prompt": "blur", "seed": 7, "num_inference_steps": 4,
        "image_size": "512x512", "batch_size": 2, "guidance_scale": 3.5,
    }  # fmt: skip
    answer = (await client.post(GENERATIONS, json=body)).json()
    assert [image["url"] for image in answer["images"]] == [item["url"] for item in answer["data"]]
    assert len(answer["images"]) == 2
    assert "images" not in (await client.post(GENERATIONS, json={"prompt": "P", "size": "64x64"})).json()


@pytest.mark.parametrize("name", ["image", "images", "image_url", "image_urls", "ref_images", "file", "files"])
@pytest.mark.parametrize("several", [False, True])
async def test_a_generation_with_a_picture_begins_with_it(called: Called, name: str, several: bool) -> None:
    """As SiliconFlow's clients send it, and LocalAI's."""
    value = [data_url(coloured())] * 2 if several else data_url(coloured())
    request, answer = await asked(called, GENERATIONS, json={"prompt": "P", name: value, "strength": 0.5})
    assert (len(request.images), request.strength) == (1 + several, 0.5)
    assert "x-limner-ignored" not in answer.headers
    stream = await called.client.post(GENERATIONS, json={"prompt": "P", name: value, "stream": True})
    assert "event: image_generation.completed" in stream.text


@pytest.mark.parametrize("empty", [None, "", []])
async def test_and_without_one_it_does_not(called: Called, empty: object) -> None:
    request, _ = await asked(called, GENERATIONS, json={"prompt": "P", "image": empty})
    assert request.images == ()


async def test_a_mask_without_a_picture_is_named(called: Called) -> None:
    _, answer = await asked(called, GENERATIONS, json={"prompt": "P", "mask": data_url(coloured())})
    assert answer.headers["x-limner-ignored"] == "mask"


@pytest.mark.parametrize(
    "name", ["image", "images[]", "ref_images[]", "reference_image", "file", "files[]", "image[0]"]
)
async def test_the_names_of_pictures_in_forms(called: Called, name: str) -> None:
    request, _ = await asked(called, EDITS, **form([("prompt", "P"), (name, coloured())]))
    assert len(request.images) == 1


@pytest.mark.parametrize("name", ["mask", "mask[]", "mask_image"])
async def test_the_names_of_masks(called: Called, name: str) -> None:
    request, _ = await asked(called, EDITS, **form([("prompt", "P"), ("image", coloured()), (name, coloured("white"))]))
    assert request.mask
