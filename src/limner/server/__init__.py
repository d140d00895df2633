"""The HTTP server: a Studio and a store behind the images API."""

from limner.server.app import create_app

__all__ = ["create_app"]
