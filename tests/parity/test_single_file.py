"""A whole model in one .safetensors file, in the layout of the first Stable Diffusion, as people share them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from limner.engines.diffusers import DiffusersEngine  # noqa: E402
from limner.errors import EngineError  # noqa: E402
from limner.types import Image  # noqa: E402
from tests.parity import families  # noqa: E402
from tests.parity.families import CARD  # noqa: E402

UNET = (
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
    (r"^down_blocks\.0\.downsamplers\.0\.conv", "input_blocks.2.0.op"),
    (r"^down_blocks\.1\.resnets\.0", "input_blocks.3.0"),
    (r"^down_blocks\.1\.attentions\.0", "input_blocks.3.1"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
    (r"^up_blocks\.0\.resnets\.(\d)", r"output_blocks.\1.0"),
    (r"^up_blocks\.0\.attentions\.(\d)", r"output_blocks.\1.1"),
    (r"^up_blocks\.0\.upsamplers\.0\.conv", "output_blocks.1.2.conv"),
    (r"^up_blocks\.1\.resnets\.0", "output_blocks.2.0"),
    (r"^up_blocks\.1\.resnets\.1", "output_blocks.3.0"),
)
# Of a residual block of the U-Net.
RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE = (
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets", lambda found: f"up.{3 - int(found[1])}.block"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{3 - int(found[1])}.upsample"),
    (r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"group_norm", "norm"),
    (r"to_([qkv])", r"\1"),
    (r"to_out\.0", "proj_out"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
)


def unet_name(name: str) -> str:
    is_resnet = ".resnets." in name
    for pattern, new in UNET:
        name = re.sub(pattern, new, name)
    head, _, part = name.rpartition(".")
    block, _, last = head.rpartition(".")
    return f"{block}.{RESNET[last]}.{part}" if is_resnet else name


def vae_name(name: str) -> str:
    for pattern, new in VAE:
        name = re.sub(pattern, new, name)
    return name


def original(pipeline: Any) -> Iterator[tuple[str, Any]]:
    """The weights by their first names."""
    for name, weight in pipeline.unet.state_dict().items():
        yield f"model.diffusion_model.{unet_name(name)}", weight
    for name, weight in pipeline.vae.state_dict().items():
        kernel = "mid_block.attentions" in name and weight.dim() == 2
        yield f"first_stage_model.{vae_name(name)}", weight[:, :, None, None] if kernel else weight
    for name, weight in pipeline.text_encoder.state_dict().items():
        yield f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}", weight


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.checkpoint("sd15", tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    import diffusers

    weights = dict(original(diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)))
    place = folder.parent / "shared.safetensors"
    save_file({name: weight.contiguous() for name, weight in weights.items()}, place)
    return place


@pytest.fixture
def cut(file: Path, tmp_path: Path) -> Path:
    place = tmp_path / "cut.safetensors"
    place.write_bytes(file.read_bytes()[:20_000])
    return place


async def drawn(place: Path, **options: str) -> np.ndarray:
    async with DiffusersEngine(CARD, str(place), threads=1, **options) as engine:
        (card,) = engine.cards()
        async for event in engine.generate(card.request("a cat", seed=3)):
            if isinstance(event, Image):
                return np.frombuffer(event.data, np.uint8)
    raise AssertionError("no picture")


async def test_one_file_draws_what_its_folder_draws(folder: Path, file: Path) -> None:
    wanted = await drawn(folder)
    found = await drawn(file, pipeline="StableDiffusionPipeline", config=str(folder))
    assert np.abs(found.astype(int) - wanted).max() <= 1


async def test_one_file_must_be_told_its_class(file: Path) -> None:
    with pytest.raises(EngineError, match="does not tell its class"):
        await drawn(file)


async def test_a_file_that_lacks_a_part_is_said_to_be_damaged(folder: Path, file: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.safetensors"
    save_file({name: weight for name, weight in load_file(file).items() if not name.startswith("cond_")}, part)
    with pytest.raises(EngineError, match="not whole"):
        await drawn(part, pipeline="StableDiffusionPipeline", config=str(folder))


async def test_a_file_that_is_cut_is_said_to_be_damaged(folder: Path, cut: Path) -> None:
    with pytest.raises(EngineError, match="damaged"):
        await drawn(cut, pipeline="StableDiffusionPipeline", config=str(folder))
