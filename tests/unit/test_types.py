"""The model card: the one place where a wish becomes a request."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import InvalidRequestError
from limner.types import MAX_PROMPT_CHARACTERS, MAX_SEED, OUTPUT_FORMATS, ImageRequest, Size, nearest
from tests.fakes import CARD


def refused(prompt: str = "a cat", **wishes: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        CARD.request(prompt, **wishes)
    return caught.value


def test_defaults_come_from_the_card() -> None:
    request = CARD.request("a cat", seed=1)
    assert request == ImageRequest(
        model=CARD.id,
        prompt="a cat",
        negative_prompt="",
        n=1,
        width=256,
        height=256,
        num_inference_steps=4,
        guidance_scale=1.0,
        seed=1,
        output_format="png",
        output_compression=100,
        quality="medium",
        partial_images=0,
        seeded=True,
    )


def test_none_is_the_same_as_absent() -> None:
    names = ("n", "size", "num_inference_steps", "guidance_scale", "negative_prompt", "quality", "output_format",
             "output_compression", "partial_images")  # fmt: skip
    assert CARD.request("a cat", seed=1, **dict.fromkeys(names)) == CARD.request("a cat", seed=1)


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CARD.request("a cat").n = 2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("param", "value", "code"),
    [
        ("n", 0, "integer_below_min_value"),
        ("n", 11, "integer_above_max_value"),
        ("seed", -2, "integer_below_min_value"),
        ("seed", MAX_SEED + 1, "integer_above_max_value"),
        ("num_inference_steps", 0, "integer_below_min_value"),
        ("num_inference_steps", 51, "integer_above_max_value"),
        ("guidance_scale", -0.1, "decimal_below_min_value"),
        ("guidance_scale", 20.5, "decimal_above_max_value"),
        ("guidance_scale", float("nan"), "decimal_above_max_value"),
        ("guidance_scale", float("inf"), "decimal_above_max_value"),
        ("output_compression", -1, "integer_below_min_value"),
        ("output_compression", 101, "integer_above_max_value"),
        ("partial_images", -1, "integer_below_min_value"),
        ("partial_images", 4, "integer_above_max_value"),
        ("output_format", "gif", "invalid_value"),
        ("quality", "superb", "invalid_value"),
        ("size", "63x64", "invalid_value"),
        ("size", "64x2049", "invalid_value"),
        ("size", "big", "invalid_value"),
    ],
)
def test_a_value_out_of_range_names_its_field(param: str, value: object, code: str) -> None:
    error = refused(**{param: value})
    assert (error.param, error.code, error.status) == (param, code, 400)
    assert error.message.startswith(param)


@pytest.mark.parametrize("param", ["n", "seed", "num_inference_steps", "output_compression"])
@pytest.mark.parametrize("digits", [30, 400])
def test_a_huge_number_is_refused_and_not_computed_with(param: str, digits: int) -> None:
    assert refused(**{param: 10**digits}).param == param


def test_an_unknown_wish_is_refused_with_what_is_known() -> None:
    error = refused(sampler="euler")
    assert (error.param, error.code) == ("sampler", "unknown_parameter")
    assert "guidance_scale" in error.message


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u2003"])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    assert refused(prompt).param == "prompt"


def test_the_longest_prompt_is_taken_and_one_more_is_not() -> None:
    assert len(CARD.request("x" * MAX_PROMPT_CHARACTERS).prompt) == MAX_PROMPT_CHARACTERS
    assert refused("x" * (MAX_PROMPT_CHARACTERS + 1)).param == "prompt"
    assert refused(negative_prompt="x" * (MAX_PROMPT_CHARACTERS + 1)).param == "negative_prompt"


@pytest.mark.parametrize("surrogate", ["\ud800", "a \udfff b"])
def test_a_lone_surrogate_is_refused(surrogate: str) -> None:
    assert refused(surrogate).param == "prompt"
    assert refused(negative_prompt=surrogate).param == "negative_prompt"


def test_messages_do_not_repeat_long_values() -> None:
    for name in ("size", "quality", "output_format"):
        assert len(refused(**{name: "x" * 10_000}).message) < 300


def test_a_seed_is_drawn_when_none_is_given() -> None:
    for seed in (None, -1):
        assert len({CARD.request("a cat", seed=seed).seed for _ in range(8)}) > 1


def test_seeds_of_pictures_wrap_round() -> None:
    request = CARD.request("a cat", seed=MAX_SEED, n=3)
    assert [request.seed_of(index) for index in range(3)] == [MAX_SEED, 0, 1]


@pytest.mark.parametrize(
    ("name", "quality", "steps"),
    [("low", "low", 2), ("medium", "medium", 4), ("high", "high", 8), ("auto", "medium", 4), ("standard", "medium", 4),
     ("hd", "high", 8)],
)  # fmt: skip
def test_quality_by_any_of_its_names(name: str, quality: str, steps: int) -> None:
    request = CARD.request("a cat", quality=name)
    assert (request.quality, request.num_inference_steps) == (quality, steps)


def test_steps_win_over_quality() -> None:
    assert CARD.request("a cat", quality="high", num_inference_steps=3).num_inference_steps == 3


@pytest.mark.parametrize("text", ["64x128", "64X128", "64*128", "64×128", " 64 x 128 "])
def test_sizes_as_people_write_them(text: str) -> None:
    assert Size.parse(text) == Size(width=64, height=128)


@pytest.mark.parametrize(
    "text", ["", "x", "64", "64x", "x64", "64x64x64", "-64x64", "6.4x64", "٦٤x64", "64x64px", "1e3x64"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Size.parse(text)
    assert caught.value.param == "size"


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_a_size_reads_what_it_writes(width: int, height: int) -> None:
    size = Size(width=min(width, 10**11), height=min(height, 10**11))
    assert Size.parse(str(size)) == size


@given(
    st.text(max_size=40),
    st.fixed_dictionaries(
        {},
        optional={
            "n": st.integers() | st.none(),
            "seed": st.integers() | st.none(),
            "size": st.text(max_size=20) | st.from_regex(r"\d{1,5}x\d{1,5}", fullmatch=True) | st.none(),
            "num_inference_steps": st.integers() | st.none(),
            "guidance_scale": st.floats() | st.none(),
            "negative_prompt": st.text(max_size=40) | st.none(),
            "quality": st.sampled_from(["low", "high", "auto", "hd", "?"]) | st.none(),
            "background": st.sampled_from(["auto", "opaque", "transparent", "pink"]) | st.none(),
            "output_format": st.sampled_from([*OUTPUT_FORMATS, "gif"]) | st.none(),
            "output_compression": st.integers() | st.none(),
        },
    ),
)
def test_every_wish_is_a_request_within_the_card_or_an_error_that_names_a_field(
    prompt: str, wishes: dict[str, Any]
) -> None:
    try:
        request = CARD.request(prompt, **wishes)
    except InvalidRequestError as error:
        assert error.param in {"prompt", *wishes}  # noqa: PT017 - either outcome is right
        return
    assert 1 <= request.n <= CARD.max_n
    assert CARD.min_side <= min(request.width, request.height)
    assert max(request.width, request.height) <= CARD.max_side
    assert 1 <= request.num_inference_steps <= CARD.max_steps
    assert 0 <= request.guidance_scale <= CARD.max_guidance
    assert 0 <= request.seed <= MAX_SEED
    request.prompt.encode()


def test_the_nearest_names_come_best_first() -> None:
    assert nearest("limner-minni", ["dall-e-3", "limner-mini", "limner-midi"])[0] == "limner-mini"
    assert nearest("zzz", ["dall-e-3"]) == []
