"""Tiny checkpoints of real pipeline classes, with random weights and tokenizers made on the spot.

Shapes are as small as the classes allow; what must agree between parts is named once in each maker.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

from limner.types import ModelCard, Size

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>", "<|endoftext|>", "<think>", "</think>")  # fmt: skip
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
VOCABULARY = 256 + len(SPECIAL)
HIDDEN = 16
# What a tiny checkpoint accepts, where a test does not say otherwise.
CARD = ModelCard(
    id="tiny",
    title="Tiny",
    licence="Apache-2.0",
    about="Random weights.",
    created=0,
    owned_by="tests",
    native=Size(width=64, height=64),
    min_side=32,
    max_side=1024,
    quality_steps={"low": 2, "medium": 3, "high": 8},
    default_guidance=3.0,
    abilities=("generate", "edit", "mask", "vary", "preview"),
)


def tokenizer(length: int = 77) -> Any:
    """Every byte is a token, so that any prompt in any language can be read."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {token: at for at, token in enumerate([*SPECIAL, *sorted(letters)])}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=length,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(SPECIAL[4:]),
        chat_template=CHAT,
    )


def clip(projected: bool) -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, projection_dim=HIDDEN, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return (transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel)(config)


def t5() -> Any:
    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=VOCABULARY,
            d_model=HIDDEN,
            d_kv=8,
            d_ff=HIDDEN,
            num_layers=1,
            num_heads=2,
            pad_token_id=0,
            eos_token_id=2,
        )
    )


def qwen3(kind: Any, layers: int = 2) -> Any:
    return kind(
        transformers.Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=HIDDEN,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=1024,
            pad_token_id=0,
        )
    )


def autoencoder(channels: int, **more: Any) -> Any:
    """Eight pixels a cell, as the real ones have."""
    return diffusers.AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8, 8, 8, 8], layers_per_block=1, latent_channels=channels, norm_num_groups=4,
        sample_size=32, **more,
    )  # fmt: skip


def flow(**more: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**more)


def sdxl() -> Any:
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, in_channels=4, out_channels=4, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=1, cross_attention_dim=2 * HIDDEN,
        projection_class_embeddings_input_dim=6 * 8 + HIDDEN,
    )  # fmt: skip
    scheduler = diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading")
    return diffusers.StableDiffusionXLPipeline(
        vae=autoencoder(4, scaling_factor=0.13025), unet=unet, scheduler=scheduler, text_encoder=clip(False),
        text_encoder_2=clip(True), tokenizer=tokenizer(), tokenizer_2=tokenizer(),
    )  # fmt: skip


def sd3() -> Any:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        caption_projection_dim=16, joint_attention_dim=2 * HIDDEN, pooled_projection_dim=2 * HIDDEN, out_channels=16,
        pos_embed_max_size=64,
    )  # fmt: skip
    encoder = t5()
    # SD 3 pads what its two small encoders give to the width of the large one.
    wide = transformers.T5EncoderModel(transformers.T5Config(**{**encoder.config.to_dict(), "d_model": 2 * HIDDEN}))
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=flow(shift=3.0), vae=autoencoder(16, shift_factor=0.06, scaling_factor=1.53),
        text_encoder=clip(True), text_encoder_2=clip(True), text_encoder_3=wide, tokenizer=tokenizer(),
        tokenizer_2=tokenizer(), tokenizer_3=tokenizer(),
    )  # fmt: skip


def flux(kind: str, channels: int = 4, packed: int | None = None, guided: bool = False) -> Any:
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=packed or 4 * channels, out_channels=4 * channels, num_layers=1, num_single_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=HIDDEN, pooled_projection_dim=HIDDEN,
        axes_dims_rope=(4, 6, 6), guidance_embeds=guided,
    )  # fmt: skip
    return getattr(diffusers, kind)(
        transformer=transformer, scheduler=flow(), vae=autoencoder(channels, shift_factor=0.1, scaling_factor=0.36),
        text_encoder=clip(False), text_encoder_2=t5(), tokenizer=tokenizer(), tokenizer_2=tokenizer(512),
    )  # fmt: skip


def qwen_parts() -> dict[str, Any]:
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=3,
        joint_attention_dim=HIDDEN, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=24, z_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.1] * 4, latents_std=[1.2] * 4,
    )  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "rope_theta": 1e6, "pad_token_id": 0,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        },
        vision_config={
            "depth": 2, "hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_heads": 2, "out_hidden_size": HIDDEN,
            "fullatt_block_indexes": [1],
        },
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        image_token_id=SPECIAL.index("<|image_pad|>"), video_token_id=SPECIAL.index("<|video_pad|>"),
    )  # fmt: skip
    encoder = transformers.Qwen2_5_VLForConditionalGeneration(config)
    parts = {"transformer": transformer, "vae": vae, "scheduler": flow(), "text_encoder": encoder}
    return {**parts, "tokenizer": tokenizer(2048)}


def qwen() -> Any:
    return diffusers.QwenImagePipeline(**qwen_parts())


def z_image() -> Any:
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, norm_eps=1e-5, qk_norm=True, cap_feat_dim=HIDDEN, rope_theta=256.0, t_scale=1000.0,
        axes_dims=[8, 4, 4], axes_lens=[1024, 64, 64],
    )  # fmt: skip
    # Made by torch.empty: whatever was in memory.
    nn.init.ones_(transformer.x_pad_token)
    nn.init.ones_(transformer.cap_pad_token)
    return diffusers.ZImagePipeline(
        transformer=transformer, vae=autoencoder(16, scaling_factor=0.3611, shift_factor=0.1159), scheduler=flow(),
        text_encoder=qwen3(transformers.Qwen3Model), tokenizer=tokenizer(512),
    )  # fmt: skip


def flux2_parts(guided: bool) -> dict[str, Any]:
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=3 * HIDDEN, timestep_guidance_channels=256, axes_dims_rope=[4, 4, 4, 4],
        guidance_embeds=guided,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLFlux2(
        sample_size=32, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4,
    )  # fmt: skip
    return {"transformer": transformer, "vae": vae, "scheduler": flow()}


def klein() -> Any:
    # Embeddings come from layers 9, 18 and 27.
    return diffusers.Flux2KleinPipeline(
        **flux2_parts(guided=False), text_encoder=qwen3(transformers.Qwen3ForCausalLM, 28),
        tokenizer=tokenizer(512), is_distilled=False,
    )  # fmt: skip


def sana() -> Any:
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        sample_size=32,
    )  # fmt: skip
    sides = {"block_types": ("ResBlock",) * 5 + ("EfficientViTBlock",), "block_out_channels": (8,) * 6}
    sides |= {"qkv_multiscales": ((),) * 5 + ((5,),), "layers_per_block": (1,) * 6}
    vae = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2, downsample_block_type="conv",
        upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu",
        scaling_factor=0.41407, **{f"{way}_{name}": of for way in ("encoder", "decoder") for name, of in sides.items()},
    )  # fmt: skip
    config = transformers.Gemma2Config(
        vocab_size=VOCABULARY, head_dim=16, hidden_size=8, intermediate_size=64, num_attention_heads=2,
        num_hidden_layers=1, num_key_value_heads=2, pad_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    return diffusers.SanaPipeline(
        transformer=transformer, vae=vae, scheduler=flow(shift=7.0), text_encoder=transformers.Gemma2Model(config),
        tokenizer=tokenizer(8192),
    )  # fmt: skip


def sd15() -> Any:
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, in_channels=4, out_channels=4, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2, cross_attention_dim=HIDDEN,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)
    return diffusers.StableDiffusionPipeline(
        vae=autoencoder(4, scaling_factor=0.18215), unet=unet, scheduler=scheduler,
        text_encoder=clip(False), tokenizer=tokenizer(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def sana_sprint() -> Any:
    parts = sana().components
    transformer = diffusers.SanaTransformer2DModel(
        **{**parts["transformer"].config, "guidance_embeds": True, "qk_norm": "rms_norm_across_heads"}
    )
    return diffusers.SanaSprintPipeline(**{**parts, "transformer": transformer, "scheduler": diffusers.SCMScheduler()})


MAKERS: dict[str, Callable[[], Any]] = {
    "sdxl": sdxl,
    "sd3": sd3,
    "flux-dev": lambda: flux("FluxPipeline", guided=True),
    "flux-kontext": lambda: flux("FluxKontextPipeline"),
    # Latents, the masked picture's latents, and the mask at full size: 16 + 16 + 256 channels a token.
    "flux-fill": lambda: flux("FluxFillPipeline", packed=16 + 16 + 256),
    "flux2-klein": klein,
    "qwen-image": qwen,
    "z-image": z_image,
    "sana": sana,
    "sana-sprint": sana_sprint,
    "sd15": sd15,
}


def checkpoint(name: str, folder: Path, makers: Mapping[str, Callable[[], Any]] = MAKERS) -> Path:
    """A checkpoint of the family in a folder of its own, as its authors would publish it."""
    torch.manual_seed(0)
    made = makers[name]()
    made.save_pretrained(folder / name, safe_serialization=True)
    return folder / name
