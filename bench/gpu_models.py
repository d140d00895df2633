"""Models of real shapes with random weights, made on the device: time does not depend on what weights say.

Each has a small form that a processor draws in a second, for tests.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

SPECIAL = ("<pad>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
CHAT = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
# FLUX.1's transformer, and one of the same make.
FLUX = {"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24, "attention_head_dim": 128,
        "joint_attention_dim": 4096, "pooled_projection_dim": 768, "in_channels": 64,
        "guidance_embeds": True}  # fmt: skip
SMALL_FLUX = FLUX | {"num_layers": 1, "num_single_layers": 2, "num_attention_heads": 2, "joint_attention_dim": 64,
                     "pooled_projection_dim": 32}  # fmt: skip
# FLUX.2-klein-4B's transformer and text encoder (Qwen3-4B).
KLEIN = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "attention_head_dim": 128,
         "joint_attention_dim": 3 * 2560, "in_channels": 128, "guidance_embeds": False}  # fmt: skip
QWEN = {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936}  # fmt: skip
SMALL_KLEIN = KLEIN | {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2, "joint_attention_dim": 3 * 32}
SMALL_QWEN = QWEN | {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 28, "num_attention_heads": 2,
                     "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 300}  # fmt: skip
TEXT_TOKENS = 512


@contextlib.contextmanager
def made_there(device: str, dtype: Any) -> Iterator[None]:
    """Have weights made on the device, in the type that they are used in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def flux(device: str, dtype: Any, *, small: bool) -> Any:
    """FLUX.1's transformer."""
    with made_there(device, dtype):
        return diffusers.FluxTransformer2DModel(**(SMALL_FLUX if small else FLUX)).eval()


def flux_step(model: Any, size: int, batch: int) -> dict[str, Any]:
    """Arguments of one step at `size` pixels square."""
    weight = next(model.parameters())
    like = {"device": weight.device, "dtype": weight.dtype}
    side, config = size // 16, model.config
    ids = torch.zeros(side * side, 3, **like)
    ids[:, 1] = torch.arange(side, **like).repeat_interleave(side)
    ids[:, 2] = torch.arange(side, **like).repeat(side)
    return {
        "hidden_states": torch.randn(batch, side * side, config.in_channels, **like),
        "encoder_hidden_states": torch.randn(batch, TEXT_TOKENS, config.joint_attention_dim, **like),
        "pooled_projections": torch.randn(batch, config.pooled_projection_dim, **like),
        "timestep": torch.full((batch,), 0.5, **like),
        "guidance": torch.full((batch,), 3.5, **like),
        "img_ids": ids,
        "txt_ids": torch.zeros(TEXT_TOKENS, 3, **like),
        "return_dict": False,
    }


def klein(device: str, dtype: Any, *, small: bool) -> Any:
    """FLUX.2-klein as a whole pipeline: text encoder, transformer, decoder."""
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = {**blocks, "block_out_channels": (8,) * 4, "norm_num_groups": 4, "layers_per_block": 1} if small else {}
    with made_there(device, dtype):
        parts = {
            "transformer": diffusers.Flux2Transformer2DModel(**(SMALL_KLEIN if small else KLEIN)),
            "vae": diffusers.AutoencoderKLFlux2(**vae),
            "text_encoder": transformers.Qwen3ForCausalLM(
                transformers.Qwen3Config(**(SMALL_QWEN if small else QWEN), max_position_embeddings=4096)
            ),
        }
    return diffusers.Flux2KleinPipeline(
        **{name: part.eval() for name, part in parts.items()},
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        tokenizer=tokenizer(),
        is_distilled=True,
    )


def tokenizer() -> Any:
    """Every byte is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({token: at for at, token in enumerate([*SPECIAL, *letters])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<|im_end|>", model_max_length=4096, chat_template=CHAT
    )
