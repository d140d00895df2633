"""The limit of the start: the least program that draws a picture with our graphs and saves it.

python -m bench.bare_start OUT.png
"""

import json
import sys
from importlib.resources import files

import numpy as np
import onnxruntime as ort
import PIL.Image

folder = files("limner") / "mini"
facts = json.loads((folder / "card.json").read_text())
options = ort.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
options.log_severity_level = 3
text, flux, decoder = (
    ort.InferenceSession((folder / name).read_bytes(), options, providers=["CPUExecutionProvider"])
    for name in ("text.onnx", "flux.onnx", "decoder.onnx")
)
side, channels = facts["drawn"] // facts["pixels_per_token"], facts["latent_channels"]
short, long = facts["lengths"][0], facts["lengths"][-1]
# What the engine runs for a request that wishes nothing: prompt and negative prompt where there is guidance.
rows = 1 if facts["guidance"] == 1 else 2
ids = {"t5_ids": np.zeros((rows, short), np.int64), "clip_ids": np.zeros((rows, long), np.int64)}
words, pooled = text.run(None, ids)
for _ in range(facts["quality_steps"]["medium"]):
    flux.run(
        None,
        {
            "latents": np.zeros((rows, side * side, 4 * channels), np.float32),
            "t": np.ones(rows, np.float32),
            "text": words,
            "pooled": pooled,
            "ids": np.zeros((short + side * side, 3), np.float32),
        },
    )
(pixels,) = decoder.run(None, {"latents": np.zeros((1, channels, 2 * side, 2 * side), np.float32)})
PIL.Image.fromarray(pixels[0]).save(sys.argv[1], compress_level=1)
