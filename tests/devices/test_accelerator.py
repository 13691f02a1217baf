# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What runs on a CPU gives the same on the accelerator of this machine, where it has one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_synthfm.inferers import InteractiveSession, VolumeInferer
from monai_synthfm.networks import MobileSam, MobileSam2, Promptable, Sam2, Sam2Size
from monai_synthfm.networks.clip_tracker import ClipTracker
from monai_synthfm.prompts import Prompts
from monai_synthfm.transforms import RandSynthFM, RandSynthFM3D

ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
pytestmark = pytest.mark.skipif(ACCELERATOR is None, reason="this machine has no accelerator")
TINY = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
NETWORKS: dict[str, Callable[[], Promptable]] = {
    "MobileSam": lambda: MobileSam(image_size=128, preprocessing="contrast"),
    "MobileSam2": lambda: MobileSam2(image_size=128),
    "Sam2": lambda: Sam2(TINY, image_size=128),
}


def made(name: str) -> Promptable:
    torch.manual_seed(0)
    return NETWORKS[name]().eval()


@pytest.fixture(autouse=True)
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_the_masks_of_the_cpu(name: str) -> None:
    image = torch.rand(2, 1, 90, 120, generator=torch.Generator().manual_seed(1))
    clicks = Prompts(torch.tensor([[[[30.0, 40.0]]], [[[60.0, 20.0]]]]), torch.ones(2, 1, 1, dtype=torch.int64))
    with torch.no_grad():
        network = made(name)
        expected = network(image, clicks.points, clicks.point_labels)
        found = network.to(ACCELERATOR)(image.to(ACCELERATOR), clicks.points, clicks.point_labels)
    assert found.device.type == ACCELERATOR.type
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-2, atol=1e-2 * float(expected.std()) + 1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_volumes_are_followed_as_on_the_cpu(name: str) -> None:
    volume = torch.rand(1, 1, 48, 40, 5, generator=torch.Generator().manual_seed(2))
    clicks = {"points": torch.tensor([[[[20.0, 20.0, 2.0]]]]), "point_labels": torch.tensor([[[1]]])}
    expected = VolumeInferer(output="logits")(volume, made(name), **clicks)
    found = VolumeInferer(output="logits")(volume.to(ACCELERATOR), made(name).to(ACCELERATOR), **clicks)
    both = (found.cpu() > 0) == (expected > 0)
    assert both.float().mean() > 0.98


def test_a_session_runs_on_the_accelerator() -> None:
    from monai.data import MetaTensor

    volume = MetaTensor(torch.rand(1, 48, 40, 5, generator=torch.Generator().manual_seed(2)), affine=torch.eye(4))
    masks = []
    for device in ("cpu", ACCELERATOR):
        session = InteractiveSession(made("MobileSam2"), device=device)
        session.set_image(volume)
        session.add_points([[20, 20, 2]], [1])
        masks.append(torch.as_tensor(session.segmentation) > 0)
    assert (masks[0] == masks[1]).float().mean() > 0.98


@pytest.mark.parametrize("amp", [False, True])
def test_a_step_of_training_moves_the_weights_as_on_the_cpu(amp: bool) -> None:
    clips = torch.rand(2, 1, 48, 40, 4, generator=torch.Generator().manual_seed(3))
    clicks = (torch.tensor([[[[20.0, 20.0]]]]).expand(2, -1, -1, -1), torch.ones(2, 1, 1, dtype=torch.int64))
    gradients = []
    for device in ("cpu", ACCELERATOR):
        network = made("MobileSam2").to(device)
        network.freeze("image_encoder", "sam_prompt_encoder")
        tracker = ClipTracker(network).train()
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=amp and device != "cpu"):
            found = tracker(clips.to(device), *(c.to(device) for c in clicks), prompt_slice=torch.tensor([0, 3]))
        (found.float().logits.square().mean() + found.float().object_scores.square().mean()).backward()
        gradients.append(
            torch.cat([p.grad.flatten().cpu() for p in network.sam_mask_decoder.parameters() if p.grad is not None])
        )
    agreement = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert agreement > (0.95 if amp else 0.999)


@pytest.mark.parametrize(
    "generator", [RandSynthFM((96, 96), module="all"), RandSynthFM3D((64, 64, 6), module="all", preset="mr")]
)
def test_generated_samples_are_those_of_the_cpu(generator: RandSynthFM | RandSynthFM3D) -> None:
    for seed in range(4):
        image, labels = generator.set_random_state(seed=seed)()
        params = image.meta["synthfm"]
        other = type(generator)(generator.spatial_size, device=ACCELERATOR)
        there, labels_there = other.replay(params)
        assert there.device.type == ACCELERATOR.type
        assert (labels == labels_there.cpu()).float().mean() > 0.995
        assert (image - there.cpu()).abs().median() < 0.02
