# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Put the bundles, which stand at the top of the repository, into the package; all else is in pyproject.toml."""

from setuptools import find_packages, setup

# packages without code, where monai_synthfm.bundle_path looks for them
BUNDLES = {f"monai_synthfm._bundles.{name}": f"bundles/{name}" for name in ("synthfm_sam", "synthfm_sam2_3d")}
KEPT = ["LICENSE", "large_files.yml", "configs/**/*", "docs/**/*", "models/model.pt", "models/windows.pt"]

setup(
    packages=[*find_packages(include=["monai_synthfm*"]), *BUNDLES],
    package_dir=BUNDLES,
    package_data={
        "monai_synthfm": ["py.typed"],
        "monai_synthfm.evaluation": ["*.csv", "*.j2"],
        "monai_synthfm.viewer": ["page/*"],
        # named one by one, since trainings and segmentations may have left their files beside
        **dict.fromkeys(BUNDLES, KEPT),
    },
)
