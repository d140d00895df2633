"""What diffusers' pipeline classes have in common and where they differ, in one table. Standard library only.

A family is known by the class that its `model_index.json` names, never by the model's name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

# Schedulers that a request may choose: diffusers' class, and what is set in it. "" is the model's own.
FLOW_SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "euler": ("FlowMatchEulerDiscreteScheduler", {}),
        "euler_karras": ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
        "euler_exponential": ("FlowMatchEulerDiscreteScheduler", {"use_exponential_sigmas": True}),
    }
)
# For pipelines that let the scheduler choose the noise levels; the others hand their own to it.
FREE_SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        **FLOW_SCHEDULERS,
        "dpmpp_2m": ("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True}),
        "unipc": ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True}),
    }
)
# For models that predict noise.
NOISE_SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "euler": ("EulerDiscreteScheduler", {}),
        "euler_karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
        "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
        "ddim": ("DDIMScheduler", {}),
        "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
        "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        "unipc": ("UniPCMultistepScheduler", {}),
        "lcm": ("LCMScheduler", {}),
    }
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """How one pipeline class is asked for pictures. The empty class name is: it cannot."""

    # Class that draws from a prompt alone.
    generate: str = ""
    # Class that starts from a picture with some noise on it, by a strength.
    vary: str = ""
    # Class that repaints what a mask says.
    fill: str = ""
    # Class that looks at pictures and follows a prompt that says what to change.
    edit: str = ""
    # How latents lie in memory: "plain" (B, C, h, w); "packed" (B, h * w / 4, 4 * C), FLUX.1's; "tokens" (B, h * w, C).
    latents: str = "plain"
    # Latent cells a side that the transformer takes as one; the picture's sides are multiples of the cells' pixels.
    patch: int = 1
    # Schedulers that a request may name: diffusers' class, and what is set in it.
    schedulers: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=lambda: FLOW_SCHEDULERS)
    # Pictures that `edit` takes; their least side in pixels, and the most that one side may be of the other.
    references: int = 1
    least_side: int = 1
    most_ratio: float = math.inf
    # Further arguments of every call.
    always: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_SANA = MappingProxyType({"use_resolution_binning": False})

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "FluxPipeline": Family(
            generate="FluxPipeline", vary="FluxImg2ImgPipeline", fill="FluxInpaintPipeline", latents="packed", patch=2
        ),
        "FluxKontextPipeline": Family(
            generate="FluxKontextPipeline",
            edit="FluxKontextPipeline",
            fill="FluxKontextInpaintPipeline",
            latents="packed",
            patch=2,
            always=MappingProxyType({"_auto_resize": False}),
        ),
        "FluxFillPipeline": Family(fill="FluxFillPipeline", latents="packed", patch=2),
        "Flux2Pipeline": Family(
            generate="Flux2Pipeline",
            edit="Flux2Pipeline",
            latents="tokens",
            patch=2,
            references=10,
            least_side=64,
            most_ratio=8,
        ),
        "Flux2KleinPipeline": Family(
            generate="Flux2KleinPipeline",
            edit="Flux2KleinPipeline",
            fill="Flux2KleinInpaintPipeline",
            latents="tokens",
            patch=2,
            references=4,
            least_side=64,
            most_ratio=8,
        ),
        "QwenImagePipeline": Family(
            generate="QwenImagePipeline",
            vary="QwenImageImg2ImgPipeline",
            fill="QwenImageInpaintPipeline",
            latents="packed",
            patch=2,
        ),
        "QwenImageEditPipeline": Family(
            edit="QwenImageEditPipeline", fill="QwenImageEditInpaintPipeline", latents="packed", patch=2
        ),
        "QwenImageEditPlusPipeline": Family(edit="QwenImageEditPlusPipeline", latents="packed", patch=2, references=3),
        "ZImagePipeline": Family(
            generate="ZImagePipeline", vary="ZImageImg2ImgPipeline", fill="ZImageInpaintPipeline", patch=2
        ),
        "StableDiffusionPipeline": Family(
            generate="StableDiffusionPipeline",
            vary="StableDiffusionImg2ImgPipeline",
            fill="StableDiffusionInpaintPipeline",
            schedulers=NOISE_SCHEDULERS,
        ),
        "StableDiffusionXLPipeline": Family(
            generate="StableDiffusionXLPipeline",
            vary="StableDiffusionXLImg2ImgPipeline",
            fill="StableDiffusionXLInpaintPipeline",
            schedulers=NOISE_SCHEDULERS,
        ),
        "StableDiffusion3Pipeline": Family(
            generate="StableDiffusion3Pipeline",
            vary="StableDiffusion3Img2ImgPipeline",
            fill="StableDiffusion3InpaintPipeline",
            patch=2,
            schedulers=FREE_SCHEDULERS,
        ),
        "SanaPipeline": Family(generate="SanaPipeline", schedulers=FREE_SCHEDULERS, always=_SANA),
        "SanaSprintPipeline": Family(
            generate="SanaSprintPipeline",
            vary="SanaSprintImg2ImgPipeline",
            schedulers=MappingProxyType({}),
            always=_SANA,
        ),
    }
)
