"""LoRAs and schedulers in a request: what a card takes, and what no card takes."""

from dataclasses import replace

import pytest

from limner import codecs
from limner.errors import InvalidRequestError
from limner.loras import MAX_LORAS, Lora
from tests.fakes import CARD

STYLED = replace(CARD, abilities=("generate", "lora"), schedulers=("euler", "unipc"))


def test_names_and_paths_and_scales_are_read() -> None:
    wishes = [{"name": "ink"}, {"path": "styles/oil.safetensors", "scale": 0.5}, {"name": "wood", "scale": None}]
    request = STYLED.request("a cat", loras=wishes, scheduler="unipc")
    assert request.loras == (Lora(name="ink"), Lora(name="styles/oil", scale=0.5), Lora(name="wood"))
    assert request.scheduler == "unipc"
    assert STYLED.request("a cat").loras == ()


@pytest.mark.parametrize(
    "wish",
    [
        "ink",
        {},
        {"name": "a", "path": "b"},
        {"name": ""},
        {"name": "../ink"},
        {"path": "/etc/passwd"},
        {"path": "a/../../b"},
        {"path": "a\\b"},
        {"path": "c:ink"},
        {"name": "a\0b"},
        {"name": "x" * 500},
        {"name": 3},
        {"name": "ink", "scale": "much"},
        {"name": "ink", "scale": True},
        {"name": "ink", "scale": 5},
        {"name": "ink", "scale": float("nan")},
        {"name": "ink", "weight": 1},
    ],
)
def test_what_names_no_file_inside_the_folder_is_refused_by_its_place(wish: object) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        STYLED.request("a cat", loras=[{"name": "ink"}, wish])
    assert raised.value.param in ("loras[1]", "loras[1].scale")


def test_too_many_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at most 8"):
        STYLED.request("a cat", loras=[{"name": "ink"}] * (MAX_LORAS + 1))


def test_a_model_without_them_says_so() -> None:
    with pytest.raises(InvalidRequestError, match="takes no loras") as raised:
        CARD.request("a cat", loras=[{"name": "ink"}])
    assert raised.value.param == "loras"
    with pytest.raises(InvalidRequestError, match="its own only"):
        CARD.request("a cat", scheduler="euler")
    with pytest.raises(InvalidRequestError, match="euler, unipc"):
        STYLED.request("a cat", scheduler="heun")
    assert CARD.request("a cat", loras=[], scheduler="").loras == ()


def test_a_recipe_makes_the_same_request_again() -> None:
    request = STYLED.request("a cat", loras=[{"name": "ink", "scale": 0.5}], scheduler="unipc", seed=7)
    made = codecs.recipe(request, 7, weights="", version="0")
    assert "unipc" in codecs.parameters(made)
    assert (
        STYLED.request(made["prompt"], **{k: v for k, v in codecs.wishes_of(made).items() if k != "prompt"}) == request
    )
    plain = codecs.recipe(STYLED.request("a cat"), 7, weights="", version="0")
    assert not {"loras", "scheduler"} & set(plain)


def test_a_model_that_only_edits_says_so() -> None:
    with pytest.raises(InvalidRequestError, match="send a picture"):
        replace(CARD, abilities=("edit", "mask")).request("a cat")
