# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monai_synthfm.commands import exit_with_message
from monai_synthfm.handlers.segmentation_writer import EmptySegmentationError


def message_of(error: Exception, cause: Exception | None, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught, exit_with_message():
        raise error from cause
    assert caught.value.code == getattr(cause or error, "exit_status", 1)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        (RuntimeError("applying transform"), ValueError("image is 4D"), "error: image is 4D\n"),
        (ValueError("image is damaged"), OSError("CRC check failed"), "error: image is damaged\n"),
        (ValueError("two\n  lines"), None, "error: two lines\n"),
        (RuntimeError("wrapped"), EmptySegmentationError("nothing was found"), "error: nothing was found\n"),
        (
            RuntimeError("wrapped"),
            TypeError("bug"),
            "error: TypeError: bug (MONAI_DEBUG=1 shows where)\n",
        ),
        (RuntimeError("no memory"), None, "error: RuntimeError: no memory (MONAI_DEBUG=1 shows where)\n"),
    ],
)
def test_a_program_ends_with_the_innermost_message_in_one_line(
    error: Exception, cause: Exception | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message_of(error, cause, capsys) == message


def test_the_system_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), exit_with_message():
        (tmp_path / "nothing").read_text()
    assert capsys.readouterr().err == f"error: {tmp_path / 'nothing'}: No such file or directory\n"


def test_whoever_looks_for_a_fault_sees_the_exception_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_DEBUG", "1")
    error = RuntimeError("wrapped")
    with pytest.raises(RuntimeError) as caught, exit_with_message():
        raise error
    assert caught.value is error


def test_a_program_that_ends_itself_is_let_go() -> None:
    with pytest.raises(SystemExit) as caught, exit_with_message():
        raise SystemExit(7)
    assert caught.value.code == 7


LINES = "print('line\\n' * 100000)"
WRAPPED = f"""
    try:
        {LINES}
    except OSError as error:
        raise RuntimeError("applying transform") from error"""


@pytest.mark.parametrize("debug", ["0", "1"])
@pytest.mark.parametrize("block", [LINES, WRAPPED], ids=["itself", "wrapped"])
def test_a_reader_that_has_seen_enough_is_no_error(block: str, debug: str) -> None:
    program = f"from monai_synthfm.commands import exit_with_message\nwith exit_with_message(): {block}"
    command = f'"{sys.executable}" -c "$PROGRAM" | head -n 1'
    environment = {**os.environ, "PROGRAM": program, "MONAI_DEBUG": debug}
    ended = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("line\n", "")


def break_a_pipe() -> None:
    """Write to a process that has died, such as a worker of a data loader."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        os.write(writer, b"batch")
    finally:
        os.close(writer)


def test_a_broken_pipe_to_another_process_is_told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as caught, exit_with_message():
        break_a_pipe()
    assert caught.value.code == 1
    print("what follows is seen")
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("what follows is seen\n", "error: [Errno 32] Broken pipe\n")

    monkeypatch.setenv("MONAI_DEBUG", "1")
    with pytest.raises(BrokenPipeError), exit_with_message():
        break_a_pipe()
