# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_synthfm.commands.names import no_such_option


@pytest.mark.parametrize(
    ("name", "above", "said"),
    [
        ("modalty", [], "; did you mean 'modality'?"),
        ("part#modalty#x", ["part"], "; did you mean 'part::modality'?"),
        ("xyz", [], "; there are few."),
    ],
)
def test_the_nearest_name_is_said_or_what_there_is(name: str, above: list[str], said: str) -> None:
    error = no_such_option(name, ["modality", "zoom"], above, "there are few.")
    assert str(error) == f"there is no option {name!r}{said}"
