"""POST /v1/images/generations, at every address where clients look for it."""

from fastapi import APIRouter, Request, Response

from limner.server import fields, schema, stream, wire
from limner.server.addresses import spelled
from limner.server.answers import respond
from limner.server.auth import with_key
from limner.server.context import Context, Here

router = APIRouter(dependencies=with_key, tags=["images"])
PATH = "/v1/images/generations"
# Azure's clients name the model in the path.
DEPLOYMENT = "/openai/deployments/{model:path}/images/generations"


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
        kind = request.headers.get("content-type", "")
        wish = wire.read(await request.body(), kind, strict=here.settings.strict, model=model)
        resolved = here.studio.request(wish.model, wish.prompt, wish.wishes)
        return await respond(request, here, wish, resolved, stream.GENERATION)
