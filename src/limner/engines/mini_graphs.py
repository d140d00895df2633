"""The graphs of limner-mini in onnxruntime, and what their inputs and outputs are.

Shapes: B rows, N image tokens, C = 4 * latent channels, S padded text tokens, J and P widths of text and pooled text.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from limner.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # text (1, S, J) and pooled (1, P) of one caption.
    Embedding = tuple[NDArray[np.float32], NDArray[np.float32]]

END, START, PAD = 1, 2, 0
TEXT, FLUX, DECODER, ENCODER, UPSCALER = "text.onnx", "flux.onnx", "decoder.onnx", "encoder.onnx", "upscaler.onnx"
TOKENIZER = "tokenizer.json"
# Beyond four times its size a picture gains nothing that a resampling would not give.
MOST_DOUBLINGS = 2
# A picture of this share of the side that is wanted is resampled to it.
ENOUGH = 0.75
# Pixels of the decoder's picture that are off colour at its edges.
RIM = 3
# Captions whose embeddings are kept, some 20 KB each.
KEPT_EMBEDDINGS = 256


class Graphs:
    """The weights in `limner/mini`, ready to run. Not for several threads at once."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        # card.json: what must be known of these very weights.
        self.facts: dict[str, Any] = json.loads((files("limner") / "mini" / "card.json").read_text())
        self._sessions: dict[str, Any] = {}
        self._embeddings: OrderedDict[tuple[str, int], Embedding] = OrderedDict()

    @property
    def side(self) -> int:
        """Image tokens a side of what the transformer draws."""
        return int(self.facts["drawn"] // self.facts["pixels_per_token"])

    def load(self) -> None:
        """Open what every picture needs; the encoder follows with the first edit. Raises EngineError."""
        from tokenizers import Tokenizer

        # Side by side: hashing and onnxruntime's own work let other threads run.
        with ThreadPoolExecutor(3) as loaders:
            opened = [loaders.submit(self._session, name) for name in (FLUX, DECODER, TEXT)]
            self._tokenizer: Tokenizer = Tokenizer.from_str(self._file(TOKENIZER).decode())
            for each in opened:
                each.result()

    def close(self) -> None:
        """Free the weights."""
        self._sessions.clear()
        self._embeddings.clear()

    def embed(self, captions: Sequence[str]) -> list["Embedding"]:
        """One embedding a caption, kept by its bytes; all padded to the shortest trained length that holds the longest.

        The captions of one request: the model sees the padding, so its prompt and its negative prompt have one length,
        as diffusers has it, and no other request may change it.
        """
        tokens = {caption: self._tokenizer.encode(caption, add_special_tokens=False).ids for caption in captions}
        longest = max(map(len, tokens.values()))
        lengths: list[int] = self.facts["lengths"]
        length = next((length for length in lengths if longest < length), lengths[-1])
        found: list[Embedding] = []
        for caption in captions:
            key = (caption, length)
            if key not in self._embeddings:
                self._embeddings[key] = self._encode(tokens[caption], length)
            self._embeddings.move_to_end(key)
            found.append(self._embeddings[key])
        while len(self._embeddings) > KEPT_EMBEDDINGS:
            self._embeddings.popitem(last=False)
        return found

    def velocity(
        self,
        latents: "NDArray[np.float32]",
        times: "NDArray[np.float32]",
        text: "NDArray[np.float32]",
        pooled: "NDArray[np.float32]",
    ) -> "NDArray[np.float32]":
        """Noise minus picture at times 0..1 (B,), where 1 is noise: (B, N, C) for latents (B, N, C)."""
        inputs = {"latents": latents, "t": times, "text": text, "pooled": pooled, "ids": self._places(text.shape[1])}
        return self._session(FLUX).run(None, inputs)[0]

    def draw(self, latents: "NDArray[np.float32]") -> "NDArray[np.uint8]":
        """Packed latents (1, N, C) to pixels (H, W, 3)."""
        side, channels = self.side, self.facts["latent_channels"]
        grid = latents.reshape(1, side, side, channels, 2, 2).transpose(0, 3, 1, 4, 2, 5)
        return self._session(DECODER).run(None, {"latents": grid.reshape(1, channels, 2 * side, 2 * side)})[0][0]

    def enlarge(self, pixels: "NDArray[np.uint8]", side: int) -> "NDArray[np.uint8]":
        """A picture (H, W, 3) doubled until it comes near `side`, at most MOST_DOUBLINGS times."""
        import numpy as np

        for doubling in range(MOST_DOUBLINGS):
            if pixels.shape[0] >= ENOUGH * side:
                break
            if doubling == 0:
                # The outermost pixels that the decoder draws are off colour.
                pixels = np.pad(pixels[RIM:-RIM, RIM:-RIM], ((RIM, RIM), (RIM, RIM), (0, 0)), mode="edge")
            pixels = self._session(UPSCALER).run(None, {"pixels": pixels[None]})[0][0]
        return pixels

    def see(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """A picture (H, W, 3) at the native size to unpacked latents (1, channels, h, w)."""
        return self._session(ENCODER).run(None, {"pixels": pixels[None]})[0]

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

            # It ships no types.
            ort: Any = onnxruntime
            options = ort.SessionOptions()
            options.intra_op_num_threads = self._threads or 0
            # Spinning workers would burn a core between steps while the encoder and the server want it.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.log_severity_level = 3
            # From bytes, never a path: no external data file can be pulled in.
            self._sessions[name] = ort.InferenceSession(self._file(name), options, providers=["CPUExecutionProvider"])
        return self._sessions[name]

    def _file(self, name: str) -> bytes:
        data = (files("limner") / "mini" / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.facts["files"][name]:
            raise EngineError(f"The weights file {name} is damaged; install limner again.")
        return data

    def _encode(self, ids: list[int], length: int) -> "Embedding":
        """Of token ids, padded to `length` or cut there."""
        import numpy as np

        longest = self.facts["lengths"][-1]
        t5_ids = np.full((1, length), PAD, np.int64)
        clip_ids = np.full((1, longest), PAD, np.int64)
        for row, whole in ((t5_ids, [*ids[: length - 1], END]), (clip_ids, [START, *ids[: longest - 2], END])):
            row[0, : len(whole)] = whole
        text, pooled = self._session(TEXT).run(None, {"t5_ids": t5_ids, "clip_ids": clip_ids})
        return text, pooled

    def _places(self, words: int) -> "NDArray[np.float32]":
        """Rotary positions (S + N, 3): text at the origin, image tokens at (0, row, column)."""
        import numpy as np

        side = self.side
        ids = np.zeros((words + side * side, 3), np.float32)
        ids[words:, 1] = np.repeat(np.arange(side), side)
        ids[words:, 2] = np.tile(np.arange(side), side)
        return ids
