# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What MONAI's handlers lack: epochs and seeds of generated data, exact resuming, and the files of a segmentation."""
