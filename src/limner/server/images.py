"""POST /v1/images/generations, at every address where clients look for it."""

from fastapi import APIRouter, Request, Response

from limner.server import edits, fields, schema, stream, wire
from limner.server.addresses import spelled
from limner.server.answers import resolved_of, respond
from limner.server.auth import with_key
from limner.server.context import Context, Here

router = APIRouter(dependencies=with_key, tags=["images"])
PATH = "/v1/images/generations"
# Azure's clients name the model in the path.
DEPLOYMENT = "/v1/openai/deployments/{model:path}/images/generations"


@spelled(
    router.post,
    PATH,
    summary="Make pictures from a prompt",
    operation_id="createImage",
    responses={200: schema.IMAGES, **schema.problems(401, 429)},
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": fields.request_schema()}}}
    },
)
async def generations(request: Request, here: Here) -> Response:
    """Draw `prompt` with `model`, and answer with URLs, base64 or both, or with events when `stream` is true."""
    return await _generate(request, here)


@spelled(router.post, DEPLOYMENT, include_in_schema=False)
async def deployment(model: str, request: Request, here: Here) -> Response:
    """The same for clients of Azure. The path's model counts; another one in the body is named as ignored."""
    return await _generate(request, here, model)


async def _generate(request: Request, here: Context, model: str | None = None) -> Response:
    with here.life.at_work():
        document = wire.document_of(await request.body(), request.headers.get("content-type", ""))
        sent = edits.of_json(document)
        if sent.images:
            # SiliconFlow and LocalAI have no other address for them.
            return await edits.edited(request, here, sent, model, kind=stream.GENERATION)
        wish = wire.understand(document, strict=here.settings.strict, model=model)
        wish, resolved = resolved_of(here, wish)
        return await respond(request, here, wish, resolved, stream.GENERATION)
