"""Requests as real clients send them, byte for byte, in one table: whose, since when, and what must come back."""

from dataclasses import dataclass

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
JSON = "application/json"
FORM = "multipart/form-data; boundary=B"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request and what must come back."""

    id: str
    client: str
    # The client's version or the day of its source.
    seen: str
    body: bytes
    # Keys that every item of `data` must have, and must not have.
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    # In words.
    needs: str
    path: str = GENERATIONS
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = (("Authorization", "Bearer sk-x"),)
    size: tuple[int, int] = (256, 256)
    pictures: int = 1
    # The events of a stream; an answer in one piece where it is empty.
    events: tuple[str, ...] = ()


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body. A part whose name begins with @ is a file, a.png."""
    lines: list[bytes] = []
    for name, value in parts:
        told = b'Content-Disposition: form-data; name="%b"' % name.removeprefix("@").encode()
        if name.startswith("@"):
            told += b'; filename="a.png"\r\nContent-Type: image/png'
        lines += [b"--B", told, b"", value]
    return b"\r\n".join([*lines, b"--B--", b""])


def requests(png: bytes, b64: str) -> tuple[Request, ...]:
    """The table; `png` is the picture to edit, `b64` the same in base64."""
    return (*GENERATED, *_edited(png, b64))


GENERATED = (
    Request(
        id="F1",
        client="requests: the script of the first screen",
        seen="2026-08-21",
        headers=(),
        body=b'{"model": "flux", "prompt": "hello world user", "response_format": null}',
        has=("url",),
        lacks=("b64_json",),
        needs="an address for null",
    ),
    Request(
        id="F2 url",
        client="requests: the script of the first screen",
        seen="2026-08-21",
        headers=(),
        body=b'{"model": "flux", "prompt": "hello world user", "response_format": "url"}',
        has=("url",),
        lacks=("b64_json",),
        needs="an address",
    ),
    Request(
        id="F2 b64_json",
        client="requests: the script of the first screen",
        seen="2026-08-21",
        headers=(),
        body=b'{"model": "flux", "prompt": "hello world user", "response_format": "b64_json"}',
        has=("b64_json",),
        lacks=("url",),
        needs="base64",
    ),
    Request(
        id="F3",
        client="Open WebUI",
        seen="02530d5",
        body=b'{"model":"flux","prompt":"a cat","n":1,"size":"512x512","response_format":"b64_json"}',
        has=("b64_json",),
        lacks=("url",),
        needs="base64 and no address, which it would prefer and may refuse",
        size=(512, 512),
    ),
    Request(
        id="F4",
        client="Open WebUI",
        seen="02530d5",
        body=b'{"model":"gpt-image-1","prompt":"a cat","n":1,"size":"1024x1024"}',
        has=("b64_json",),
        lacks=("url",),
        needs="base64 although it does not ask",
        size=(1024, 1024),
    ),
    Request(
        id="F7",
        client="AI SDK, openai-compatible",
        seen="ed857f5",
        body=b'{"model":"flux","prompt":"a cat","n":1,"size":"512x512"}',
        has=("b64_json",),
        needs="base64 in every item although it does not ask",
        size=(512, 512),
    ),
    Request(
        id="F8",
        client="AI SDK, openai-compatible",
        seen="before 2026-07-17",
        body=b'{"model":"flux","prompt":"a cat","n":1,"size":"512x512","response_format":"b64_json"}',
        has=("b64_json",),
        lacks=("url",),
        needs="base64",
        size=(512, 512),
    ),
    Request(
        id="F9",
        client="LangChain, DallEAPIWrapper",
        seen="0.4",
        body=b'{"prompt":"a cat","n":1,"size":"1024x1024","model":"dall-e-2","quality":"standard"}',
        has=("url",),
        lacks=("b64_json",),
        needs="an address in every item",
        size=(1024, 1024),
    ),
    Request(
        id="F11",
        client="huggingface_hub, provider together",
        seen="ee0a451",
        body=b'{"prompt":"a cat","response_format":"base64","steps":4,"width":512,"height":512,"seed":7,'
        b'"model":"flux"}',
        has=("b64_json",),
        lacks=("url",),
        needs="base64 for its own word for it; steps, width and height",
        size=(512, 512),
    ),
    Request(
        id="F14",
        client="SiliconFlow's tools",
        seen="2026-08-21",
        body=b'{"model":"flux","prompt":"a cat","negative_prompt":"blur","seed":7,"num_inference_steps":4,'
        b'"image_size":"512x512","batch_size":1,"guidance_scale":3.5}',
        has=("url", "b64_json"),
        needs="its names for size and n. Its tools also read `images` beside `data`, which is not offered",
        size=(512, 512),
    ),
    Request(
        id="F16",
        client="any, every nullable field null",
        seen="specification 2.3.0",
        body=b'{"prompt":"a cat","model":null,"n":null,"size":null,"quality":null,"style":null,"background":null,'
        b'"moderation":null,"output_format":null,"output_compression":null,"partial_images":null,"stream":null,'
        b'"response_format":null}',
        has=("url",),
        lacks=("b64_json",),
        needs="the same as F1",
    ),
    Request(
        id="F17",
        client="any, the shortest body",
        seen="specification 2.3.0",
        body=b'{"prompt":"a cat"}',
        has=("url", "b64_json"),
        needs="a picture of the default model",
    ),
)


def _edited(png: bytes, b64: str) -> tuple[Request, ...]:
    small = {"path": EDITS, "content_type": FORM, "has": ("b64_json",), "lacks": ("url",)}
    listed = (("model", b"gpt-image-1"), ("prompt", b"a dog"), ("@image[]", png))
    return (
        Request(
            **small,
            id="E1",
            client="openai (Python)",
            seen="3.3.1",
            body=form(("model", b"gpt-image-1"), ("prompt", b"a dog"), ("@image", png), ("n", b"1")),
            needs="one file, called image",
        ),
        Request(
            **small,
            id="E2",
            client="openai (Python)",
            seen="3.3.1",
            body=form(*listed),
            needs="a list of one, called image[]",
        ),
        Request(
            **small,
            id="E3",
            client="openai (Python)",
            seen="3.3.1",
            body=form(*listed, ("stream", b"true"), ("partial_images", b"2")),
            needs="a stream of two partial pictures and the finished one",
            events=("image_edit.partial_image", "image_edit.partial_image", "image_edit.completed"),
        ),
        Request(
            id="E4",
            client="AI SDK",
            seen="ed857f5",
            path=EDITS,
            content_type=FORM,
            body=form(("model", b"flux"), ("prompt", b"a dog"), ("@image", png), ("n", b"1"), ("size", b"512x512")),
            has=("b64_json",),
            needs="an array of one, called image; base64 although it does not ask",
            size=(512, 512),
        ),
        Request(
            **small,
            id="E5",
            client="Open WebUI",
            seen="02530d5",
            body=form(
                ("model", b"flux"),
                ("prompt", b"a dog"),
                ("n", b"1"),
                ("size", b"512x512"),
                ("response_format", b"b64_json"),
                ("@image[]", png),
                ("@image[]", png),
            ),
            needs="two files, called image[]; base64 and no address",
            size=(512, 512),
        ),
        Request(
            id="E10",
            client="any, the JSON form",
            seen="specification 2.3.0",
            path=EDITS,
            body=f'{{"model":"gpt-image-1.5","prompt":"a dog","images":[{{"image_url":"data:image/png;base64,{b64}"}}],'
            f'"mask":{{"image_url":"data:image/png;base64,{b64}"}}}}'.encode(),
            has=("b64_json",),
            lacks=("url",),
            needs="data URLs for the picture and the mask",
        ),
    )
