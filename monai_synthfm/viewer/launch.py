# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From an image to an address in the browser."""

from __future__ import annotations

import hashlib
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path

import torch

from monai_synthfm.embeddings.cache import volume_signature
from monai_synthfm.inferers import EmbeddingCache, InteractiveSession
from monai_synthfm.io.endings import check_image
from monai_synthfm.io.volume_files import source_name
from monai_synthfm.networks import Promptable, open_network
from monai_synthfm.networks.weights.files import cache_folder
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.transforms.medsam import known_modality
from monai_synthfm.viewer.niivue import find_niivue
from monai_synthfm.viewer.security import is_loopback

__all__ = ["open_session", "view"]


def view(
    image: str | Path,
    port: int = 0,
    host: str = "127.0.0.1",
    browser: bool = True,
    cache_dir: str | Path | None = None,
    model: str | Path | Promptable | None = None,
    axis: str = "auto",
    modality: str = "auto",
    series: str | None = None,
) -> None:
    """
    Show a volume in the browser and segment it there, until the program is ended.

    Args:
        image: a file or the folder of a DICOM series, see :func:`~monai_synthfm.io.volume_files.load_image`.
        port: to listen on; 0 takes a free one.
        host: address to listen on. Others than loopback let everybody in who has the address with its token.
        browser: open the address.
        cache_dir: folder that keeps prompts and embeddings; None = one for this image in the cache folder. The same
            call goes on where an earlier one was left.
        model: see :func:`~monai_synthfm.networks.open_network`, or a network.
        axis: across which slices are cut, see :class:`~monai_synthfm.inferers.InteractiveSession`.
        modality: how intensities are scaled, see there.
        series: number or SeriesInstanceUID of the series that is meant, in a folder with several.

    Raises:
        FileNotFoundError: when the image, the model or NiiVue is not there.
        ValueError: when the image cannot be read.
        ImportError: when the extra ``view`` is not installed.
    """
    check_image(image)
    modality = known_modality(modality)
    try:
        from monai_synthfm.viewer.listening import listen
        from monai_synthfm.viewer.state import ViewerState
    except ImportError as error:
        raise ImportError(f"the viewer needs more packages: pip install 'monai-synthfm[view]' ({error}).") from error
    niivue = find_niivue()
    folder = _folder_of(image) if cache_dir is None else Path(cache_dir)
    network = model if isinstance(model, Promptable) else open_network(model or "synthfm")
    state = ViewerState(open_session(image, network, folder, axis, modality, series), image, folder, series)
    listening = listen(state, niivue, host, port)
    if not is_loopback(host):
        print(
            f"warning: {host} can be reached from other machines, unencrypted: whoever has the address below sees the "
            "volume and may change the segmentation.",
            file=sys.stderr,
        )
    print(f"{Path(image).name} is at {listening.address}\nprompts are kept in {folder}; end with Ctrl+C", flush=True)
    if browser:
        webbrowser.open(listening.address)
    with suppress(KeyboardInterrupt):  # which the server raises again after it has ended well
        listening.run()


def open_session(
    image: str | Path,
    network: Promptable,
    folder: Path,
    axis: str = "auto",
    modality: str = "auto",
    series: str | None = None,
) -> InteractiveSession:
    """
    Open an image for the viewer: prompts answer on their slices, and embeddings are kept in ``folder``.

    Args:
        image: a file or the folder of a DICOM series.
        network: that segments.
        folder: each signature (image, axis, scale of intensities, weights) has a folder of its own there.
        axis: across which slices are cut.
        modality: how intensities are scaled.
        series: which one of a folder with several.
    """

    def store(volume: torch.Tensor, frame: SliceFrame, network: Promptable) -> EmbeddingCache:
        signature = volume_signature(volume, frame, network)
        digest = hashlib.sha256(repr(sorted(signature.items())).encode()).hexdigest()[:12]
        return EmbeddingCache(folder / f"embeddings-{digest}", signature, in_memory=64)

    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    session = InteractiveSession(network, axis=axis, modality=modality, device=device, at_once=False)
    session.store = store
    session.set_image(image, series)
    return session


def _folder_of(image: str | Path) -> Path:
    digest = hashlib.sha256(str(Path(image).resolve()).encode()).hexdigest()[:12]
    return cache_folder() / "viewer" / f"{source_name(image)}-{digest}"
