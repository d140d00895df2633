"""How long requests take, reckoned from what others took."""

from typing import Any

import pytest

from limner.pace import GUESS, Pace
from limner.types import ImageRequest
from tests.fakes import CARD


def request(size: int = 256, **wishes: Any) -> ImageRequest:
    return CARD.request("a cat", **{"size": f"{size}x{size}", "num_inference_steps": 10} | wishes)


def learnt(*times: tuple[ImageRequest, float, float]) -> Pace:
    """A pace that has seen requests with so many seconds a step and so many for the rest of each picture."""
    pace = Pace()
    for seen, step, rest in times:
        steps = seen.n * seen.num_inference_steps
        pace.learn(seen, steps=steps, stepping=(steps - 1) * step, whole=steps * step + seen.n * rest)
    return pace


def test_a_guess_until_something_is_known() -> None:
    assert Pace().seconds(request()) == GUESS


def test_steps_and_pictures_count() -> None:
    pace = learnt((request(), 0.1, 0.5))
    assert pace.seconds(request()) == pytest.approx(1.5)
    assert pace.seconds(request(num_inference_steps=20)) == pytest.approx(2.5)
    assert pace.seconds(request(num_inference_steps=1)) == pytest.approx(0.6)
    assert pace.seconds(request(n=3)) == pytest.approx(4.5)


def test_larger_ones_are_reckoned_by_area_until_they_are_known() -> None:
    pace = learnt((request(), 0.1, 0.5))
    assert pace.seconds(request(512)) == pytest.approx(6.0)
    assert pace.seconds(request(128)) == pytest.approx(1.5)
    pace.learn(request(512), steps=10, stepping=0.9, whole=1.5)
    assert pace.seconds(request(512)) == pytest.approx(1.5)
    # From the nearest that is known.
    assert pace.seconds(request(1024)) == pytest.approx(6.0)


def test_guidance_has_a_pace_of_its_own() -> None:
    pace = learnt((request(guidance_scale=1.0), 0.1, 0.0))
    assert pace.seconds(request(guidance_scale=3.0)) == pytest.approx(1.0)
    pace.learn(request(guidance_scale=3.0), steps=10, stepping=1.8, whole=2.0)
    assert pace.seconds(request(guidance_scale=3.0)) == pytest.approx(2.0)
    assert pace.seconds(request(guidance_scale=1.0)) == pytest.approx(1.0)


def test_the_newest_counts_more_but_not_alone() -> None:
    pace = learnt((request(), 0.1, 0.0), (request(), 0.2, 0.0))
    assert 1.0 < pace.seconds(request()) < 2.0
    for _ in range(20):
        pace.learn(request(), steps=10, stepping=1.8, whole=2.0)
    assert pace.seconds(request()) == pytest.approx(2.0, rel=0.01)


def test_a_single_step_and_none_at_all() -> None:
    pace = Pace()
    pace.learn(request(num_inference_steps=1), steps=1, stepping=0.0, whole=0.4)
    assert pace.seconds(request(num_inference_steps=2)) == pytest.approx(0.8)
    # An engine that tells no steps.
    other = Pace()
    other.learn(request(), steps=0, stepping=0.0, whole=5.0)
    assert other.seconds(request()) > 0


def test_sizes_that_clients_choose_do_not_fill_the_memory() -> None:
    pace = Pace()
    for side in range(64, 2048):
        pace.learn(request(side), steps=10, stepping=0.9, whole=1.0)
    assert len(vars(pace)["_known"]) < 30
