"""What the command line asks of a running server about models, beside what the client already knows."""

from limner.errors import AuthenticationError, ConnectionFailedError, from_response


def stop(name: str, server: str | None, key: str | None) -> None:
    """Take a model out of the server's memory.

    Raises:
        AuthenticationError: there is no admin key here, or the server has another.
        ConnectionFailedError: nothing answers.
        ModelNotFoundError: the server does not know the model.
    """
    from urllib.parse import quote

    import httpx2

    from limner.client import Client

    if key is None:
        raise AuthenticationError(
            "Stopping a model needs the admin key: start the server with LIMNER_ADMIN_KEY, and set it here to the same."
        )
    with Client(server) as client:
        base = client.base_url.removesuffix("/v1")
        shown = client.shown_url
    try:
        url = f"{base}/admin/models/{quote(name, safe='')}/stop"
        answer = httpx2.post(url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False)
    except httpx2.RequestError as error:
        raise ConnectionFailedError(f"Nothing answers at {shown}; start a server with `limner serve`.") from error
    if not answer.is_success:
        try:
            body: object = answer.json()
        except ValueError:
            body = None
        raise from_response(answer.status_code, body, request_id=answer.headers.get("x-request-id"))
