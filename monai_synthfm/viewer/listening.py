# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A server of one session on an address of its own."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from monai_synthfm.viewer.security import host_names
from monai_synthfm.viewer.server import create_app
from monai_synthfm.viewer.state import ViewerState

__all__ = ["Listening", "in_background", "listen"]


@dataclass(frozen=True)
class Listening:
    """
    A server whose address is known; connections wait until it runs.

    Args:
        address: with the token.
        port: of it.
        server: to run.
        listening: where it listens.
    """

    address: str
    port: int
    server: uvicorn.Server
    listening: socket.socket

    def run(self) -> None:
        """Answer until the program is interrupted or ``server.should_exit`` is set."""
        self.server.run(sockets=[self.listening])


def listen(
    state: ViewerState, niivue: Path, host: str = "127.0.0.1", port: int = 0, token: str | None = None
) -> Listening:
    """
    Listen on an address.

    Args:
        state: that pages show.
        niivue: NiiVue's script.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        token: of the address; None draws one.

    Raises:
        OSError: when the address is taken.
    """
    token = secrets.token_urlsafe(24) if token is None else token
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio has answers leave at once (TCP_NODELAY) where the protocol is said; otherwise each takes 40 ms longer
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise OSError(f"cannot listen on port {port} of {host} ({error}); give another --port.") from error
    port = listening.getsockname()[1]
    app = create_app(state, niivue, token, host_names(host, port))
    # the access log would have the token
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    app.state.closing = lambda: server.should_exit  # requests that wait for changes then end
    name = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return Listening(f"http://{name}:{port}/?token={token}", port, server, listening)


@contextmanager
def in_background(listening: Listening) -> Iterator[str]:
    """
    Run a server in a thread, and end it.

    Yields:
        Its address.
    """
    thread = threading.Thread(target=listening.run)
    thread.start()
    try:
        yield listening.address
    finally:
        listening.server.should_exit = True
        thread.join()
