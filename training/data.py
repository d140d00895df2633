"""Drawings and scenes: what limner-mini is trained on.

`Drawings` renders the SVG bodies of the icon sets once, at one size, with alpha. `compose` lays them out as a
scene with a caption. Everything is a function of a numpy Generator, so a seed gives the same data anywhere.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from concepts import Concept, load_concepts

# Icon set -> the word that a caption uses for its style. The first is the default look of a bare prompt.
STYLES = {"fluent-emoji-flat": "flat", "noto": "shaded"}
HELD_OUT = "twemoji"

GROUNDS = {
    "red": (226, 60, 52), "orange": (247, 148, 46), "yellow": (250, 218, 74), "green": (76, 175, 92),
    "blue": (66, 133, 224), "light blue": (150, 208, 246), "purple": (142, 84, 190), "pink": (248, 164, 200),
    "brown": (140, 96, 66), "gray": (150, 152, 156), "black": (22, 22, 26), "beige": (240, 226, 200),
}  # fmt: skip
HUES = {"red": 0, "orange": 28, "yellow": 52, "green": 125, "blue": 214, "purple": 275, "pink": 325}


# What people ask for first is shown more often.
FAVOURITES = frozenset(
    (
        "cat",
        "dog",
        "red apple",
        "house",
        "rocket",
        "pizza",
        "deciduous tree",
        "automobile",
        "banana",
        "bird",
        "fish",
        "sun",
        "star",
        "rose",
        "sunflower",
        "horse",
        "bicycle",
        "airplane",
        "robot",
        "person",
        "guitar",
        "hot beverage",
        "birthday cake",
        "red heart",
        "mountain",
        "crescent moon",
        "cloud",
        "lion",
        "elephant",
    )
)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    concept: int
    style: str
    # uint8 RGBA, straight alpha, shape (size, size, 4).
    pixels: np.ndarray
    # Name of the colour that most of it has, or None when no hue leads.
    hue: str | None


def render_svg(icon: dict, size: int) -> np.ndarray:
    """One iconify record as uint8 RGBA of shape (size, size, 4)."""
    import io

    import resvg_py

    w, h = icon["width"], icon["height"]
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}">{icon["body"]}</svg>'
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA").resize((size, size)))


class Drawings:
    """All drawings of `styles` at `size` pixels, rendered once and kept in `cache`."""

    def __init__(self, packages: Path, cache: Path, size: int = 256, styles: tuple[str, ...] = tuple(STYLES)):
        self.concepts: list[Concept] = load_concepts(packages)
        self.styles = styles
        self.items: list[Drawing] = []
        cache.mkdir(parents=True, exist_ok=True)
        for style in styles:
            index, pixels = self._load_set(packages, cache / f"{style}-{size}.npz", style, size)
            for concept, rgba in zip(index, pixels, strict=True):
                self.items.append(Drawing(concept=int(concept), style=style, pixels=rgba, hue=dominant_hue(rgba)))
        self.by_concept: dict[int, list[Drawing]] = {}
        for item in self.items:
            self.by_concept.setdefault(item.concept, []).append(item)
        self.by_label = {c.label: i for i, c in enumerate(self.concepts)}

    def _load_set(self, packages: Path, path: Path, style: str, size: int) -> tuple[np.ndarray, np.ndarray]:
        codes = [c.code for c in self.concepts]
        if path.exists():
            stored = np.load(path)
            if stored["codes"].tolist() == codes:
                return stored["index"], stored["pixels"]
        icons = json.loads((packages / f"@iconify-json/{style}/icons.json").read_text())
        chars = json.loads((packages / f"@iconify-json/{style}/chars.json").read_text())
        index, pixels = [], []
        for i, code in enumerate(codes):
            name = chars.get(code)
            record = icons["icons"].get(name) or icons["icons"].get(
                icons.get("aliases", {}).get(name, {}).get("parent")
            )
            if record is None:
                continue
            box = {"width": icons.get("width", 16), "height": icons.get("height", 16)}
            pixels.append(render_svg({**box, **record}, size))
            index.append(i)
        np.savez_compressed(path, codes=codes, index=index, pixels=np.stack(pixels))
        return np.array(index), np.stack(pixels)


def to_hsv(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb, "RGB").convert("HSV"))


def dominant_hue(rgba: np.ndarray) -> str | None:
    """The name of the hue that more than 45 % of the opaque pixels share, else None."""
    hsv = to_hsv(np.ascontiguousarray(rgba[..., :3]))[rgba[..., 3] > 128].astype(int)
    if len(hsv) < 50:
        return None
    vivid = hsv[(hsv[:, 1] > 90) & (hsv[:, 2] > 110)]
    best, share = None, 0.45
    for name, degrees in HUES.items():
        distance = np.abs((vivid[:, 0] * 360 / 255 - degrees + 180) % 360 - 180)
        near = float((distance < 20).sum()) / len(hsv)
        if near > share:
            best, share = name, near
    return best


def recolour(drawing: Drawing, name: str) -> np.ndarray:
    """The drawing with its leading hue turned to `name`; other colours stay."""
    rgba = drawing.pixels.copy()
    hsv = to_hsv(np.ascontiguousarray(rgba[..., :3])).astype(int)
    distance = np.abs((hsv[..., 0] * 360 / 255 - HUES[drawing.hue] + 180) % 360 - 180)
    turn = (HUES[name] - HUES[drawing.hue]) * 255 / 360
    near = (distance < 35) & (hsv[..., 1] > 50)
    hsv[..., 0] = np.where(near, (hsv[..., 0] + turn) % 255, hsv[..., 0])
    rgba[..., :3] = np.asarray(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB"))
    return rgba


def paste(canvas: np.ndarray, rgba: np.ndarray, centre: tuple[float, float], extent: float) -> None:
    """Lay a drawing over a float32 RGB canvas (size, size, 3) in 0..255, in place. Units: shares of the canvas."""
    size = canvas.shape[0]
    side = max(4, round(extent * size))
    patch = np.asarray(
        Image.fromarray(rgba).resize(
            (side, side), Image.Resampling.BOX if side < rgba.shape[0] else Image.Resampling.BICUBIC, reducing_gap=None
        ),
        np.float32,
    )
    x0, y0 = round(centre[0] * size - side / 2), round(centre[1] * size - side / 2)
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(size, x0 + side), min(size, y0 + side)
    part = patch[top - y0 : bottom - y0, left - x0 : right - x0]
    alpha = part[..., 3:] / 255
    region = canvas[top:bottom, left:right]
    region += alpha * (part[..., :3] - region)


@dataclass(frozen=True, kw_only=True)
class Scene:
    # uint8 RGB, shape (size, size, 3).
    pixels: np.ndarray
    # Several ways to ask for it; the trainer draws one each time.
    captions: tuple[str, ...]


class Composer:
    """Scenes with captions: one thing, a recoloured thing, two or three things, on white or on a coloured ground."""

    def __init__(self, drawings: Drawings, size: int):
        self.drawings = drawings
        self.size = size
        everyday = [6.0 if c.label in FAVOURITES else 1.0 for c in drawings.concepts]
        weights = np.array([w if i in drawings.by_concept else 0.0 for i, w in enumerate(everyday)])
        self.weights = weights / weights.sum()

    def scene(self, rng: np.random.Generator) -> Scene:
        count = int(rng.choice([1, 2, 3], p=[0.88, 0.09, 0.03]))
        if count == 3 and rng.random() < 0.4:
            concepts = [
                self.drawings.by_label[k] for k in ("waving hand", "globe showing europe-africa", "bust in silhouette")
            ]
        else:
            concepts = rng.choice(len(self.weights), size=count, p=self.weights).tolist()
            if count == 2 and rng.random() < 0.2:
                concepts[1] = concepts[0]
        ground, ground_name = self._ground(rng)
        canvas = np.empty((self.size, self.size, 3), np.float32)
        canvas[:] = ground
        style = rng.choice(self.drawings.styles)
        chosen = [self._pick(c, str(style), rng) for c in concepts]
        tint = self._tint(chosen, rng)
        for (x, y, extent), item in zip(_places(count, rng), chosen, strict=True):
            rgba = recolour(item, tint) if tint and item.hue != tint else item.pixels
            paste(canvas, rgba, (x, y), extent)
        colour = tint if tint else None
        captions = tuple(self._caption(chosen, colour, ground_name, rng) for _ in range(4))
        return Scene(pixels=np.clip(canvas + 0.5, 0, 255).astype(np.uint8), captions=captions)

    def _pick(self, concept: int, style: str, rng: np.random.Generator) -> Drawing:
        options = self.drawings.by_concept[concept]
        return next((d for d in options if d.style == style), options[int(rng.integers(len(options)))])

    def _ground(self, rng: np.random.Generator) -> tuple[np.ndarray, str | None]:
        if rng.random() < 0.55:
            return np.full(3, 255, np.float32), None
        name = list(GROUNDS)[int(rng.integers(len(GROUNDS)))]
        return np.clip(np.array(GROUNDS[name], np.float32) + rng.normal(0, 5, 3), 0, 255).astype(np.float32), name

    def _tint(self, chosen: list[Drawing], rng: np.random.Generator) -> str | None:
        if len(chosen) != 1 or chosen[0].hue is None:
            return None
        draw = rng.random()
        if draw < 0.08:
            return chosen[0].hue
        return str(rng.choice(list(HUES))) if draw < 0.16 else None

    def _caption(self, items: list[Drawing], colour: str | None, ground: str | None, rng: np.random.Generator) -> str:
        words = [self._noun(d.concept, rng) for d in items]
        if items[0].concept == items[-1].concept and len(items) == 2:
            thing = f"two {plural(words[0])}"
        else:
            things = [article(f"{colour} {w}" if colour and not w.startswith(colour) else w, rng) for w in words]
            joiner = str(rng.choice([" and ", " and ", " with ", ", ", " "]))
            thing = joiner.join(things)
        text = str(
            rng.choice(
                ["{}", "{}", "{}", "a picture of {}", "a drawing of {}", "a photo of {}", "an icon of {}", "draw {}"]
            )
        ).format(thing)
        if len(self.drawings.styles) > 1 and len({d.style for d in items}) == 1 and rng.random() < 0.2:
            style = STYLES.get(items[0].style, "flat")
            text = f"{text}, {style} style" if rng.random() < 0.6 else f"{style} {text}"
        if ground:
            text += str(
                rng.choice(
                    [" on a {} background", " on a {} background", " on {}", ", {} background", " with a {} background"]
                )
            ).format(ground)
        elif rng.random() < 0.15:
            text += str(rng.choice([" on a white background", " on white", ", white background"]))
        return text

    def _noun(self, concept: int, rng: np.random.Generator) -> str:
        c = self.drawings.concepts[concept]
        draw = rng.random()
        if draw < 0.55 or not c.names:
            return c.label
        return str(rng.choice(c.names[:3] if draw < 0.9 else c.names))


def article(noun: str, rng: np.random.Generator) -> str:
    draw = rng.random()
    if draw < 0.3:
        return noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun if draw < 0.85 else f"the {noun}"


def plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es" if not noun.endswith("s") else noun
    return noun[:-1] + "ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else noun + "s"


def _places(count: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Centres and extents for one, two or three things, as shares of the canvas, with a little jitter."""
    jitter = lambda: float(rng.uniform(-0.03, 0.03))  # noqa: E731
    if count == 1:
        return [(0.5 + jitter(), 0.5 + jitter(), float(rng.uniform(0.72, 0.9)))]
    if count == 2:
        extent = float(rng.uniform(0.44, 0.5))
        return [(0.26 + jitter() / 2, 0.5 + jitter(), extent), (0.74 + jitter() / 2, 0.5 + jitter(), extent)]
    extent = float(rng.uniform(0.4, 0.44))
    return [(0.27, 0.3 + jitter() / 2, extent), (0.73, 0.3 + jitter() / 2, extent), (0.5, 0.73 + jitter() / 2, extent)]
