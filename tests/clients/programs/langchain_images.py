"""LangChain's wrapper of DALL-E, as its users write it: langchain_images.py BASE_URL PICTURE MASK."""

import sys

from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

from report import report

base = sys.argv[1]

report(
    {
        "run": lambda: DallEAPIWrapper(api_key="local", base_url=base).run("a cat"),
        "several": lambda: DallEAPIWrapper(api_key="local", base_url=base, n=2, size="256x256", separator="\n").run(
            "a cat"
        ),
    }
)
