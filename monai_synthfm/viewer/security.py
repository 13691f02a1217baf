# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Who may speak to the server: pages that it served itself, on this machine, with the token of its address."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import parse_qs

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["TOKEN_HEADER", "Guard", "host_names", "is_loopback"]

TOKEN_HEADER = "x-synthfm-token"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_ALWAYS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_MOST_DISCARDED = 2**22


class Guard:
    """
    Let through requests whose Host, Origin, token and size are right; all others end here.

    Host is checked so that no other name can be made to point to this server, Origin so that no other page can use it.

    Args:
        app: what is guarded.
        token: of the address; expected as query ``token`` or header ``x-synthfm-token``.
        hosts: allowed values of Host, with the port.
        limits: most bytes of a body by the beginning of the path; "" for the others.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str], limits: Mapping[str, int]) -> None:
        self.app = app
        self.token = token.encode()
        self.hosts = hosts
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers[name] = value
            await send(message)

        headers = Headers(scope=scope)
        limit = max((size for start, size in self.limits.items() if scope["path"].startswith(start)), default=0)
        refused = self._refusal(scope, headers, limit)
        if refused is not None:
            status, reason = refused
            if status == 413:
                await _discard(receive)
            await JSONResponse({"detail": reason}, status)(scope, receive, guarded)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                await _discard(receive)
                # which the app answers like one of its own
                raise HTTPException(413, _too_large(limit))
            return message

        await self.app(scope, bounded, guarded)

    def _refusal(self, scope: Scope, headers: Headers, limit: int) -> tuple[int, str] | None:
        if headers.get("host", "").lower() not in self.hosts:
            return 421, "this server has another name."
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.hosts}:
            return 403, "requests of other pages are not answered."
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "requests of other pages are not answered."
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
        given = headers.get(TOKEN_HEADER) or (query.get("token") or [""])[0]
        if not hmac.compare_digest(given.encode(), self.token):
            return 401, "the token is missing or wrong: use the address that the program printed."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limit:
            return 413, _too_large(limit)
        return None


def host_names(host: str, port: int) -> frozenset[str]:
    """
    Return the values of Host that a server on this address has.

    Example:
        >>> sorted(host_names("127.0.0.1", 80))
        ['127.0.0.1:80', '[::1]:80', 'localhost:80']
    """
    names = {"127.0.0.1", "localhost", "[::1]"}
    if not is_loopback(host):
        own = socket.gethostname()
        names |= {host, own, socket.getfqdn()} | {str(found[4][0]) for found in socket.getaddrinfo(own, None)}
    return frozenset(f"{name.lower()}:{port}" for name in names)


def is_loopback(host: str) -> bool:
    """
    Return whether only this machine reaches an address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _discard(receive: Receive) -> None:
    """Read what a client sends, up to a limit: one that is still sending would not hear the answer."""
    received = 0
    while received < _MOST_DISCARDED:
        message = await receive()
        received += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


def _too_large(limit: int) -> str:
    return f"the request is larger than the {limit} bytes that are taken here."
