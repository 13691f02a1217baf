# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""``python -m monai_synthfm`` is ``synthfm``, for torchrun and where scripts are not on the path."""

from monai_synthfm.commands.program import main

if __name__ == "__main__":
    main()
