# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What pages may ask for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

__all__ = [
    "BoxRequest",
    "LookRequest",
    "NetworkWindow",
    "ObjectChange",
    "ObjectRequest",
    "PointsRequest",
    "PromptRequest",
    "PropagateRequest",
    "Request",
    "ResizeRequest",
    "StrokeRequest",
]

Place = Annotated[list[FiniteFloat], Field(min_length=3, max_length=3, description="[x, y, z] in RAS+ mm")]
Number = Annotated[int, Field(ge=1, le=255, description="of the object")]


class Request(BaseModel):
    """Any request that changes something."""

    model_config = ConfigDict(extra="forbid")

    since: int = Field(0, description="version of the labels that the page has; the answer holds what changed since")


class ObjectRequest(Request):
    """About one object."""

    object: Number = 1


class PointsRequest(ObjectRequest):
    """Clicks."""

    points: list[Place] = Field(min_length=1, max_length=64)
    labels: list[Literal[0, 1]] = Field(min_length=1, max_length=64, description="1 positive, 0 negative")


class BoxRequest(ObjectRequest):
    """A box, by two opposite corners."""

    corners: list[Place] = Field(min_length=2, max_length=2)


class StrokeRequest(ObjectRequest):
    """A stroke over a slice, which becomes a chain of clicks."""

    stroke: list[Place] = Field(min_length=1, max_length=2000)
    label: Literal[0, 1] = 1


class PromptRequest(Request):
    """About one prompt."""

    prompt: int = Field(description="id of the prompt in the state")


class LookRequest(BaseModel):
    """Which slice is looked at."""

    model_config = ConfigDict(extra="forbid")

    slice: int = Field(ge=0, description="of the file")


class ResizeRequest(ObjectRequest):
    """The next of the alternative answers."""

    size: Literal["smaller", "larger"]


class PropagateRequest(Request):
    """How far objects are carried."""

    direction: Literal["both", "forward", "backward", "none"] = "both"
    slice_range: tuple[int, int] | None = Field(None, description="first and last slice of the file")


class ObjectChange(ObjectRequest):
    """What people call an object, and how it is shown."""

    name: str | None = Field(None, min_length=1, max_length=64)
    colour: str | None = Field(None, pattern="^#[0-9a-f]{6}$")
    visible: bool | None = None


class NetworkWindow(Request):
    """The window through which the network sees the volume; without level, as the modality says."""

    level: FiniteFloat | None = None
    width: Annotated[float, Field(gt=0, le=1e6)] = 400.0
