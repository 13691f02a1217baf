# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Addresses that can be opened, and one sentence when an address is taken."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_synthfm.viewer.listening import in_background, listen

from .served import Served


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost")])
def test_the_address_is_one_that_a_browser_opens_until_the_server_ends(served: Served, host: str, name: str) -> None:
    listening = listen(served.state, Path("missing"), host)
    assert re.fullmatch(rf"http://{re.escape(name)}:{listening.port}/\?token=[\w-]{{32}}", listening.address)
    with in_background(listening) as address, urllib.request.urlopen(address) as response:
        assert b'<canvas id="gl">' in response.read()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listening.port), timeout=1)


def test_each_server_draws_a_token_of_its_own(served: Served) -> None:
    both = [listen(served.state, Path("missing")) for _ in range(2)]
    tokens = {one.address.partition("token=")[2] for one in both}
    for one in both:
        one.listening.close()
    assert len(tokens) == 2


def test_an_address_that_is_taken_is_named(serve: Callable[..., Served]) -> None:
    first = serve()
    with pytest.raises(OSError, match=rf"cannot listen on port {first.port} of 127\.0\.0\.1 .*give another --port"):
        listen(first.state, Path("missing"), port=first.port)
