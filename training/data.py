"""Drawings and scenes: what limner-mini is trained on.

`Drawings` renders the SVG bodies of the icon sets once, at one size, with alpha. scenes.py lays
them down. Everything is a function of a numpy Generator, so a seed gives the same data anywhere.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from concepts import Concept, load_concepts
from limner.engines.mini_tint import HUES

# Icon set -> the style that its captions name, one of mini_scene.STYLES; None is the flat one, which they do not.
STYLES = {"fluent-emoji-flat": None, "flag": None, "fluent-emoji": "3d", "noto": "cartoon"}
HELD_OUT = "twemoji"
# An icon set whose package lacks the table of characters -> the set that has its names.
NAMED_BY = {"fluent-emoji": "fluent-emoji-flat"}
# Flags have an edge, for some are white: of 640 x 480 units, as the set draws them, in a square.
FLAG = (
    '<clipPath id="edge"><rect x="8" y="8" width="624" height="464" rx="40"/></clipPath>'
    '<g transform="translate(0 80)"><g clip-path="url(#edge)">{body}</g>'
    '<rect x="8" y="8" width="624" height="464" rx="40" fill="none" stroke="#b4b4b4" stroke-width="12"/></g>'
)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    concept: int
    # One of mini_scene.STYLES, or None.
    style: str | None
    # uint8 RGBA, straight alpha, shape (size, size, 4).
    pixels: np.ndarray


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
        self.by_concept: dict[int, list[Drawing]] = {}
        cache.mkdir(parents=True, exist_ok=True)
        for style in styles:
            index, pixels = self._load_set(packages, cache / f"{style}-{size}.npz", style, size)
            for concept, rgba in zip(index, pixels, strict=True):
                drawn = self.by_concept.setdefault(int(concept), [])
                # What is drawn in one manner only is drawn so when none is asked for.
                manner = STYLES.get(style) if drawn else None
                if manner == "cartoon" and not self.concepts[concept].common:
                    continue
                drawn.append(Drawing(concept=int(concept), style=manner, pixels=rgba))
        self.items = [item for drawn in self.by_concept.values() for item in drawn]
        self.by_label = {c.label: i for i, c in enumerate(self.concepts)}

    def _load_set(self, packages: Path, path: Path, style: str, size: int) -> tuple[np.ndarray, np.ndarray]:
        codes = [c.code for c in self.concepts]
        if path.exists():
            stored = np.load(path)
            if stored["codes"].tolist() == codes:
                return stored["index"], stored["pixels"]
        icons = icons_of(packages, style)
        index = [i for i, code in enumerate(codes) if code in icons]
        pixels = [render_svg(icons[codes[i]], size) for i in index]
        np.savez_compressed(path, codes=codes, index=index, pixels=np.stack(pixels))
        return np.array(index), np.stack(pixels)


def icons_of(packages: Path, style: str) -> dict[str, dict]:
    """Code points -> the icon set's record, as `render_svg` takes it."""
    icons = json.loads((packages / f"@iconify-json/{style}/icons.json").read_text())
    if style == "flag":
        return flags_of(icons["icons"])
    chars = json.loads((packages / f"@iconify-json/{NAMED_BY.get(style, style)}/chars.json").read_text())
    box = {"width": icons.get("width", 16), "height": icons.get("height", 16)}
    aliases = icons.get("aliases", {})
    named = {
        code: name if name in icons["icons"] else aliases.get(name, {}).get("parent") for code, name in chars.items()
    }
    return {code: {**box, **icons["icons"][name]} for code, name in named.items() if name in icons["icons"]}


def flags_of(icons: dict[str, dict]) -> dict[str, dict]:
    """The set of flags goes by countries ("gb-eng-4x3"), not by characters."""
    out = {}
    for name, icon in icons.items():
        country, wide, _ = name.partition("-4x3")
        if wide:
            letters = country.replace("-", "")
            parts = [f"{0x1F1E6 + ord(letter) - ord('a'):x}" for letter in letters]
            if len(letters) > 2:
                parts = ["1f3f4", *(f"{0xE0000 + ord(letter):x}" for letter in letters), "e007f"]
            out["-".join(parts)] = {"width": 640, "height": 640, "body": FLAG.format(body=icon["body"])}
    return out


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
