"""huggingface_hub's InferenceClient with a base URL, as its users write it: huggingface_images.py BASE_URL ..."""

import sys

from huggingface_hub import InferenceClient

from report import report

base = sys.argv[1]


def size(url: str) -> tuple[int, int]:
    return InferenceClient(base_url=url, api_key="local").text_to_image("a cat").size


report({"base": lambda: size(base), "route": lambda: size(f"{base}/images/generations")})
