"""Tiny checkpoints of the families whose text encoder looks at pictures: FLUX.2 dev and Qwen-Image's edit models.

Their processors cut pictures up with torchvision, so they are made and loaded only where it is installed.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import diffusers
import transformers

from tests.parity.families import HIDDEN, SPECIAL, VOCABULARY, flux2_parts, qwen_parts, tokenizer

THERE = find_spec("torchvision") is not None
# FLUX.2 takes its embeddings from the encoder's layers 10, 20 and 30.
LAYERS = 31
PATCH = 4
PIXTRAL_CHAT = (
    "{% for m in messages %}{% for c in m.content %}"
    "{% if c.type == 'image' %}<|image_pad|>{% else %}{{ c.text }}{% endif %}{% endfor %}</s>{% endfor %}"
)


def flux2_dev() -> Any:
    text = {
        "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 2048,
        "pad_token_id": 0, "model_type": "mistral",
    }  # fmt: skip
    vision = {
        "hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2,
        "patch_size": PATCH, "image_size": 64, "model_type": "pixtral",
    }  # fmt: skip
    picture = SPECIAL.index("<|image_pad|>")
    encoder = transformers.Mistral3ForConditionalGeneration(
        transformers.Mistral3Config(text_config=text, vision_config=vision, image_token_index=picture)
    )
    processor = transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessor(
            size={"longest_edge": 64}, patch_size={"height": PATCH, "width": PATCH}
        ),
        tokenizer=tokenizer(2048),
        patch_size=PATCH,
        spatial_merge_size=2,
        chat_template=PIXTRAL_CHAT,
        image_token="<|image_pad|>",
        image_break_token="<|vision_start|>",
        image_end_token="<|vision_end|>",
    )
    return diffusers.Flux2Pipeline(**flux2_parts(guided=True), text_encoder=encoder, tokenizer=processor)


def qwen_edit(kind: str) -> Any:
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=56 * 56),
        tokenizer=tokenizer(2048),
        video_processor=transformers.Qwen2VLVideoProcessor(),
    )
    return getattr(diffusers, kind)(**qwen_parts(), processor=processor)


MAKERS: dict[str, Callable[[], Any]] = {
    "flux2-dev": flux2_dev,
    "qwen-image-edit": lambda: qwen_edit("QwenImageEditPipeline"),
    "qwen-image-edit-plus": lambda: qwen_edit("QwenImageEditPlusPipeline"),
}
