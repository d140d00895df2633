"""The catalogue's facts hang together, and none is worked out from a name."""

import re

import pytest

from limner.engines.diffusers_family import FAMILIES
from limner.models.catalog import Row, catalogue, must_accept

ROWS = catalogue().rows


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_complete(name: str) -> None:
    row: Row = ROWS[name]
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.repository)
    # A row without a verified commit is allowed, a guess is not.
    assert re.fullmatch(r"[0-9a-f]{40}|", row.revision)
    # The engine knows the class, so what can be pulled can be drawn with.
    assert row.pipeline in FAMILIES
    assert 0 < row.memory_offloaded <= row.memory
    assert row.dtype in ("bfloat16", "float16", "float32")
    assert set(row.steps) == {"low", "medium", "high"}
    assert row.steps["low"] <= row.steps["medium"] <= row.steps["high"]
    card = row.card()
    assert (card.id, card.licence) == (name, row.licence)
    if "generate" in row.abilities:
        assert card.request("a cat").num_inference_steps == row.steps["medium"]


def test_every_kind_that_was_promised_is_there() -> None:
    promised = {
        "flux-schnell", "flux-dev", "flux-kontext", "flux-fill", "flux2-dev", "flux2-klein", "flux2-klein-9b",
        "qwen-image", "qwen-image-edit", "z-image", "z-image-turbo", "sdxl", "sdxl-turbo", "sd3.5-large",
        "sd3.5-large-turbo", "sd3.5-medium", "sana",
    }  # fmt: skip
    assert promised <= set(ROWS)


def test_what_flux_may_mean_is_in_the_catalogue() -> None:
    for names in catalogue().aliases.values():
        assert [name for name in names if name not in ROWS] == []
    assert all(ROWS[name].family == "flux" for name in catalogue().aliases["flux"])


def test_a_repository_is_found_whatever_its_capitals() -> None:
    row = catalogue().of_repository("Black-Forest-Labs/flux.1-SCHNELL")
    assert row is not None
    assert row.name == "flux-schnell"
    assert catalogue().of_repository("somebody/flux-schnell") is None


@pytest.mark.parametrize(("licence", "asks"), [("Apache-2.0", False), ("mit", False), ("other", True), ("", True)])
def test_only_permissive_licences_need_no_yes(licence: str, asks: bool) -> None:
    assert must_accept(licence) is asks
