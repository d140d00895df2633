"""Finished pictures in memory: within their bytes, the least used going first."""

from limner.cache import OVERHEAD, PictureCache
from limner.types import Image


def image(size: int, seed: int = 0) -> Image:
    return Image(data=bytes(size), mime="image/png", width=1, height=1, seed=seed, index=0)


def test_all_or_none() -> None:
    cache = PictureCache(10_000)
    cache.put("a", image(10, 1))
    cache.put("b", image(10, 2))
    assert [found.seed for found in cache.get(["b", "a"]) or []] == [2, 1]
    assert cache.get(["a", "c"]) is None
    assert cache.get(["c"]) is None


def test_the_least_used_goes_first() -> None:
    cache = PictureCache(3 * (1000 + OVERHEAD))
    for name in "abc":
        cache.put(name, image(1000))
    assert cache.get(["a"])
    cache.put("d", image(1000))
    assert [name for name in "abcd" if cache.get([name])] == ["a", "c", "d"]
    assert (len(cache), cache.held, cache.evicted) == (3, 3 * (1000 + OVERHEAD), 1)


def test_what_is_larger_than_all_is_not_kept_and_drives_nothing_out() -> None:
    cache = PictureCache(2 * OVERHEAD)
    cache.put("a", image(10))
    cache.put("b", image(2 * OVERHEAD))
    assert cache.get(["b"]) is None
    assert cache.get(["a"])


def test_the_same_name_counts_once() -> None:
    cache = PictureCache(100_000)
    for _ in range(5):
        cache.put("a", image(1000))
    assert cache.held == 1000 + OVERHEAD


def test_many_small_ones_are_bounded_too() -> None:
    cache = PictureCache(1_000_000)
    for index in range(5000):
        cache.put(str(index), image(0))
    assert len(cache) == 1_000_000 // OVERHEAD


def test_off_keeps_nothing() -> None:
    cache = PictureCache(0)
    cache.put("a", image(0))
    assert (len(cache), cache.held) == (0, 0)
