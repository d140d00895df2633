"""Pictures that a wish starts from: what a card makes of them, and what a recipe says of them."""

import dataclasses
import json
from typing import Any

import pytest

from limner import codecs
from limner.errors import InvalidRequestError
from limner.sources import MAX_SOURCES, Source, size_near
from limner.types import RAW_RGB, Image
from tests.fakes import CARD

SOURCE = Source(pixels=bytes(4 * 80 * 70), width=80, height=70)
MASK = b"\xff" + bytes(80 * 70 - 1)


def refused(prompt: str = "a cat", card: Any = CARD, **wishes: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        card.request(prompt, **wishes)
    return caught.value


def test_without_a_source_nothing_is_different() -> None:
    request = CARD.request("a cat", seed=1)
    assert (request.images, request.mask, request.strength) == ((), b"", 1.0)


@pytest.mark.parametrize(
    ("wishes", "strength"),
    [
        ({}, 0.8),
        ({"input_fidelity": "high"}, 0.5),
        ({"strength": 0.1, "input_fidelity": "high"}, 0.1),
        ({"mask": MASK}, 1.0),
        ({"mask": MASK, "input_fidelity": "low"}, 1.0),
        ({"mask": MASK, "input_fidelity": "high"}, 0.5),
        ({"mask": MASK, "strength": 0}, 0.0),
    ],
)
def test_how_far_the_picture_may_leave_its_source(wishes: dict[str, Any], strength: float) -> None:
    assert CARD.request("a cat", images=(SOURCE,), **wishes).strength == strength


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"mask": MASK}, "image"),
        ({"strength": 0.5}, "image"),
        ({"images": (SOURCE,) * (MAX_SOURCES + 1)}, "image"),
        ({"images": (SOURCE, Source(pixels=b"", width=1, height=1))}, "image[1]"),
        ({"images": (SOURCE,), "mask": b"\xff"}, "mask"),
        ({"images": (SOURCE,), "mask": bytes(len(MASK))}, "mask"),
        ({"images": (SOURCE,), "strength": 1.1}, "strength"),
        ({"images": (SOURCE,), "strength": float("nan")}, "strength"),
        ({"images": (SOURCE,), "input_fidelity": "medium"}, "input_fidelity"),
    ],
)
def test_what_cannot_be_right_names_its_field(wishes: dict[str, Any], param: str) -> None:
    assert refused(**wishes).param == param


def test_a_model_does_only_what_its_card_says() -> None:
    able = {ability: dataclasses.replace(CARD, abilities=("generate", ability)) for ability in ("edit", "vary")}
    plain = dataclasses.replace(CARD, abilities=("generate",))
    assert refused(card=plain, images=(SOURCE,)).param == "image"
    assert refused(card=able["vary"], images=(SOURCE,)).param == "image"
    assert refused("", card=able["edit"], images=(SOURCE,)).param == "image"
    assert refused(card=able["edit"], images=(SOURCE,), mask=MASK).param == "mask"
    assert able["edit"].request("a cat", images=(SOURCE,)).prompt == "a cat"
    assert able["vary"].request("", images=(SOURCE,)).prompt == ""


@pytest.mark.parametrize(
    ("size", "made"),
    [((100, 80), (100, 80)), ((4000, 2000), (2048, 1024)), ((30, 60), (64, 128)), ((4000, 10), (2048, 64)),
     ((1, 1), (64, 64)), ((1, 2048), (64, 2048))],
)  # fmt: skip
def test_the_size_of_its_own_is_near_the_sources(size: tuple[int, int], made: tuple[int, int]) -> None:
    width, height = size
    assert size_near(Source(pixels=b"", width=width, height=height), 64, 2048) == made


def test_a_recipe_names_the_source_and_cannot_be_drawn_again() -> None:
    request = CARD.request("a cat", images=(SOURCE, SOURCE), mask=MASK, seed=1)
    image = Image(data=b"", mime=RAW_RGB, width=80, height=70, seed=1, index=0)
    told = json.loads(json.dumps(codecs.recipe(request, image.seed, weights="", version="1")))
    assert (told["sources"], told["masked"], told["strength"]) == (2, True, 1.0)
    with pytest.raises(InvalidRequestError, match="made from another picture"):
        codecs.wishes_of(told)


def test_what_a_wide_picture_carries_on_is_not_the_rim_that_the_decoder_draws_wrongly() -> None:
    import numpy as np

    from limner.engines.mini_drawing import fit

    drawn = np.full((256, 256, 3), 200, np.uint8)
    drawn[[0, -1]] = drawn[:, [0, -1]] = 9
    for width, height in ((512, 256), (256, 300), (128, 256)):
        # Resampling lets a little of it shine through.
        assert min(fit(drawn, width, height)) > 150
    assert fit(drawn, 256, 256) == drawn.tobytes()
