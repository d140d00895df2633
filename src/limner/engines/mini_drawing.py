"""One request at limner-mini: the samples that it takes, and the pictures that they become."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limner.engines.mini_edit import Edit
from limner.engines.mini_layout import DRAWN, lay_out, spots
from limner.engines.mini_matte import cut_out, cut_out_of_edit
from limner.engines.mini_patch import Patch
from limner.engines.mini_repaint import repaint
from limner.engines.mini_sampler import Sample
from limner.engines.mini_scene import Scene
from limner.engines.mini_tint import tint
from limner.types import RAW_RGB, RAW_RGBA, Event, Image, ImageRequest, Preview, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.engines.mini_graphs import Graphs


class Drawing:
    """Turns finished and half finished samples into events. Used on the worker thread only."""

    def __init__(
        self,
        request: ImageRequest,
        pictures: Sequence[Sequence[Sample]],
        graphs: "Graphs",
        *,
        said: Sequence[str],
        tints: Sequence[str | None],
        mirrored: Sequence[Sequence[bool]],
        scene: Scene | None = None,
        edit: Edit | None = None,
        patch: Patch | None = None,
    ) -> None:
        """`pictures`: the samples of each picture; several where its `scene` is laid out of things drawn one by one.

        `said`: what each picture's prompt was taken for; `tints`: what each sample of a picture is turned to;
        `mirrored`: which samples of each picture look the other way; `edit`: the picture that the samples began with;
        `patch`: the one that the scene is laid into.
        """
        self._request, self._pictures, self._graphs = request, pictures, graphs
        self._said, self._tints, self._mirrored = said, tints, mirrored
        self._scene, self._edit, self._patch = scene, edit, patch
        self._finished = 0
        self._total = sum(len(sample.sigmas) - 1 - sample.at for parts in pictures for sample in parts)

    def report(self, sample: Sample) -> list[Event]:
        """What a step of `sample` gives: progress, and a picture or a preview where its last part has come so far."""
        self._finished += 1
        events: list[Event] = [Progress(step=self._finished, total=self._total)]
        parts = self._pictures[sample.index]
        # The batch takes the oldest first, so the last part is never ahead of the others.
        if sample is not parts[-1]:
            return events
        if sample.done:
            drawn = self._drawn(sample.index, [part.latents for part in parts])
            events.append(self._image(sample.index, [self._graphs.enlarge(each, self._side) for each in drawn]))
        elif sample.at in self._request.preview_steps():
            drawn = self._drawn(sample.index, [part.estimate() for part in parts])
            events.append(Preview(image=self._image(sample.index, drawn)))
        return events

    def _drawn(self, index: int, latents: Sequence["NDArray[np.float32]"]) -> list["NDArray[np.uint8]"]:
        """The pixels of a picture's samples, each in the colour that was asked for and looking its way."""
        drawn: list[NDArray[np.uint8]] = []
        for each, mirrored, colour in zip(latents, self._mirrored[index], self._tints, strict=True):
            pixels = self._graphs.draw(each)[:, :: -1 if mirrored else 1]
            drawn.append(tint(pixels, colour) if colour else pixels)
        return drawn

    @property
    def _side(self) -> int:
        """Pixels a side that a sample is shown at."""
        request = self._request
        if self._edit:
            return self._edit.square[2]
        if self._scene:
            width, height = self._patch.box[2:] if self._patch else (request.width, request.height)
            return max(round(extent / DRAWN) for *_, extent in spots(self._scene, width, height))
        return min(request.width, request.height)

    def _image(self, index: int, drawn: Sequence["NDArray[np.uint8]"]) -> Image:
        request = self._request
        clear = request.background == "transparent"
        if self._edit:
            ground = None if clear else self._edit.ground
            made = repaint(drawn[0], self._edit.colour, ground, request.strength)
            finish = cut_out_of_edit(self._edit, made, request) if clear else self._edit.finish(made)
        elif self._scene and self._patch:
            finish = self._patch.finish(lay_out(self._scene, drawn, *self._patch.box[2:], clear=True))
        elif self._scene:
            finish = lay_out(self._scene, drawn, request.width, request.height, clear=clear).tobytes()
        else:
            finish = fit(cut_out(drawn[0]) if clear else drawn[0], request.width, request.height)
        return Image(
            data=finish,
            mime=RAW_RGBA if clear else RAW_RGB,
            width=request.width,
            height=request.height,
            seed=request.seed_of(index),
            index=index,
            prompt=self._said[index],
        )


def fit(pixels: "NDArray[np.uint8]", width: int, height: int) -> bytes:
    """Rows of the picture (h, w, 3 or 4) resampled to the shorter side, its edges carried on to fill the longer one.

    The outermost pixels that the decoder draws are off colour: what is carried on lies a little inside.
    """
    import numpy as np
    import PIL.Image

    side = min(width, height)
    if pixels.shape[:2] != (side, side):
        picture = PIL.Image.fromarray(pixels).resize((side, side), PIL.Image.Resampling.LANCZOS)
        pixels = np.asarray(picture)
    if width != height:
        rim = max(1, side // 64)
        left, top = (width - side) // 2 + rim, (height - side) // 2 + rim
        inner = side - 2 * rim
        around = ((top, height - inner - top), (left, width - inner - left), (0, 0))
        pixels = np.pad(pixels[rim : side - rim, rim : side - rim], around, mode="edge")
    return pixels.tobytes()
