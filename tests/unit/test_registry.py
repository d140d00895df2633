"""Names to engines, ours and other packages'."""

import importlib
import sys
from pathlib import Path

import pytest

from limner.registry import ALIASES, DEFAULT_MODEL, ENGINES, load_apart, load_engine
from tests.fakes import CARD, GradientEngine

# A whole engine as another package would write it.
OUTSIDE = """
from limner.types import Image, ModelCard, Progress, RAW_RGB, Size


class PlainEngine:
    def __init__(self, colour=b"\\xff\\x00\\x00"):
        self.colour = colour

    def cards(self):
        return [ModelCard(id="plain", title="Plain", licence="MIT", about="One colour.", created=0, owned_by="me",
                          native=Size(width=64, height=64), min_side=64, max_side=64, quality_steps={"medium": 1})]

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def generate(self, request):
        yield Progress(step=1, total=1)
        yield Image(data=self.colour * 4096, mime=RAW_RGB, width=64, height=64, seed=request.seed, index=0)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution on the path with three engines: its own, a broken one, one that would shadow ours."""
    (tmp_path / "limner_plain.py").write_text(OUTSIDE)
    (tmp_path / "limner_broken.py").write_text("import a_library_that_is_not_installed\n")
    facts = tmp_path / "limner_plain-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: limner-plain\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(
        "[limner.engines]\n"
        "plain = limner_plain:PlainEngine\n"
        "broken = limner_broken:Engine\n"
        "mini = limner_plain:PlainEngine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("limner_plain", "limner_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ENGINES)
def test_every_row_names_a_class(name: str) -> None:
    module, _, attribute = ENGINES[name].partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)


@pytest.mark.usefixtures("installed")
async def test_an_engine_from_outside_is_served_like_ours() -> None:
    from limner.studio import Studio

    async with Studio([load_engine("plain", colour=b"\0\0\xff"), GradientEngine()]) as studio:
        assert [card.id for card in studio.cards()] == ["plain", CARD.id]
        events = [event async for event in studio.generate(studio.request("plain", "a cat", {"seed": 1}))]
        assert events[-1].data.startswith(b"\x89PNG")


@pytest.mark.usefixtures("installed")
async def test_an_engine_from_outside_draws_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with load_apart("plain", colour=b"\0\xff\0") as engine:
        request = engine.cards()[0].request("a cat")
        events = [event async for event in engine.generate(request)]
    assert bytes(events[-1].data) == b"\0\xff\0" * 4096


@pytest.mark.usefixtures("installed")
def test_a_missing_library_is_told_and_not_swallowed() -> None:
    with pytest.raises(ImportError, match="a_library_that_is_not_installed"):
        load_engine("broken")


@pytest.mark.usefixtures("installed")
def test_another_package_cannot_take_the_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    import limner.registry

    monkeypatch.setattr(limner.registry, "ENGINES", {"mini": "tests.fakes:GradientEngine"})
    assert type(load_engine("mini")).__name__ == "GradientEngine"


def test_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(KeyError):
        load_engine("no-such-engine")


def test_the_names_that_clients_have_hard_coded_are_aliases() -> None:
    assert {"flux", "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"} <= set(
        ALIASES
    )
    assert all(DEFAULT_MODEL in choices for choices in ALIASES.values())
    assert DEFAULT_MODEL not in ALIASES
