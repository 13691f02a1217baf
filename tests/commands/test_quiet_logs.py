# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.handlers import StatsHandler
from monai.transforms import Compose, DataStats, Lambda

from monai_synthfm.commands import exit_with_message, run_bundle
from monai_synthfm.commands.quiet_logs import errors_told_once


def failing_engine() -> SupervisedEvaluator:
    def fail(*given: Any, **named: Any) -> Any:
        raise ValueError("the image is damaged")

    return SupervisedEvaluator(
        torch.device("cpu"), [{"image": 1}], torch.nn.Identity(), prepare_batch=fail, val_handlers=[StatsHandler()]
    )


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_error_of_an_engine_is_told_by_the_command_alone(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    failing_engine()  # makes the logger of the handler, which has no parent
    monkeypatch.setattr(logging.getLogger("monai.handlers.StatsHandler"), "handlers", [caplog.handler])
    with pytest.raises(ValueError, match="damaged"):
        failing_engine().run()
    assert len(logged(caplog)) >= 3  # which is what makes this necessary
    caplog.clear()

    with pytest.raises(SystemExit), exit_with_message():
        failing_engine().run()
    assert logged(caplog) == []
    assert any("Engine run resuming" in record.getMessage() for record in caplog.records)
    assert capsys.readouterr().err == "error: the image is damaged\n"

    monkeypatch.setenv("MONAI_DEBUG", "1")
    with pytest.raises(ValueError, match="damaged"), exit_with_message():
        failing_engine().run()
    assert len(logged(caplog)) >= 3


def test_the_log_is_as_before_when_the_block_ends(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("ignite.engine.engine.SupervisedTrainer")
    with errors_told_once():
        logger.error("within")
    logger.error("after")
    assert logged(caplog) == ["after"]


def test_the_data_of_a_failed_transform_are_not_described(caplog: pytest.LogCaptureFixture) -> None:
    def check(image: np.ndarray) -> np.ndarray:
        if not image.any():
            raise ValueError("no")
        return image

    transform = Compose([DataStats(prefix="wanted"), Lambda(check)], log_stats=True)
    with errors_told_once():
        for values in (0, 1):  # as a batch that goes on with the next image
            with pytest.raises(RuntimeError) if values == 0 else nullcontext():
                transform(np.full((1, 2, 2), values))
    said = [record.getMessage() for record in caplog.records if record.name == "DataStats"]
    assert len(said) == 2
    assert all(text.startswith("wanted") for text in said)


def test_configs_of_two_folders_are_no_reason_to_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "a.yaml").write_text("number: 1\nrun: ['$print(@number)']\n")
    (tmp_path / "other" / "b.yaml").write_text("number: 2\n")
    run_bundle([tmp_path / "a.yaml", tmp_path / "other" / "b.yaml"], {})
    assert capsys.readouterr().out == "2\n"
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert not any("Not all config files" in text for text in warned)
    assert any("logging.conf" in text for text in warned)  # its other warnings are there
