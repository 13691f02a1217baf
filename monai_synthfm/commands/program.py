# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The command ``synthfm``: the configs of the bundles under short names."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from monai_synthfm import __version__
from monai_synthfm.commands.catalogue import COMMANDS, OTHERS, PROMPTS, Command, configs_folder, overview
from monai_synthfm.commands.help_page import help_page
from monai_synthfm.commands.inputs import check_inputs
from monai_synthfm.commands.messages import exit_with_message
from monai_synthfm.commands.names import no_such_option
from monai_synthfm.commands.prompt_words import PROMPT_WORDS, check_prompted, take_prompts
from monai_synthfm.commands.references import item_at
from monai_synthfm.commands.settings import merged
from monai_synthfm.commands.values import Kind, read_value
from monai_synthfm.commands.words import split_words

__all__ = ["main"]

_SHORT = {"output": "output_dir"}
_HELP = {"-h", "--help"}


def main(words: Sequence[str] | None = None) -> None:
    """
    Run the command ``synthfm``.

    Args:
        words: what was typed after it; None takes them from the command line.

    Raises:
        SystemExit: with the message of what went wrong, see :func:`~monai_synthfm.commands.exit_with_message`.

    Example:
        >>> main(["segment", "ct.nii.gz", "--click", "1", "2"])
        Traceback (most recent call last):
        ...
        SystemExit: 1
    """
    words = list(sys.argv[1:] if words is None else words)
    with exit_with_message():
        if not words or words[0] in _HELP:
            print(overview())
        elif words[0] == "--version":
            print(__version__)
        else:
            _run(words[0], words[1:])


def _run(name: str, words: list[str]) -> None:
    known = (*COMMANDS, *OTHERS)
    if name not in known:
        raise ValueError(f"there is no command {name!r}{_nearest(name, known)}")
    if name == "info":
        if _HELP & set(words):
            print(f"usage: synthfm info\n\n{OTHERS['info']}")
            return
        if words:
            raise ValueError(f"info takes no options, got {' '.join(words)}.")
        from monai_synthfm.commands.info import describe_installation

        print(describe_installation())
    elif name == "view":
        _view(words)
    elif _HELP & set(words):
        print(_help(name, COMMANDS[name], [word for word in words if word not in _HELP]))
    else:
        _run_configs(name, COMMANDS[name], words)


def _help(name: str, command: Command, words: Sequence[str]) -> str:
    """The help of a command, with the settings of configs and the arguments of a dataset that are named besides."""
    folder = configs_folder()
    words, more = _take_configs(words)
    files = [_config(folder, given, "config") for given in more]
    found, typed = split_words(words)
    dataset = {**dict(zip(command.places, found, strict=False)), **typed}.get("dataset_name")
    if dataset is not None and command.folder is not None:
        files.insert(0, _config(folder / command.folder, dataset, "dataset_name"))
    if dataset is not None and command.reader_options is not None:
        from monai_synthfm.commands.reader_options import reader_settings

        return help_page(name, command, files, reader_settings(dataset))
    return help_page(name, command, files)


def _run_configs(name: str, command: Command, words: Sequence[str]) -> None:
    words, prompts = take_prompts(words) if command.own is PROMPTS else (list(words), {})
    words, more = _take_configs(words)
    options = _options(name, command.places, words, PROMPT_WORDS if command.own is PROMPTS else ())
    files = _files(name, command, options, more)
    dry_run = read_value("dry_run", options.pop("dry_run", "false"), Kind.SWITCH) if command.folder else False
    arguments = {"tracking": options.pop("tracking")} if "tracking" in options else {}
    config = merged(files)
    _check(name, command, {**options, **prompts}, config, knows_all=not arguments)
    # from here on networks are imported, which takes seconds
    from monai_synthfm.commands.bundle_run import run_bundle

    values: dict[str, Any] = {**options, **prompts}
    if command.reader_options is not None:
        from monai_synthfm.commands.reader_options import take_reader_options

        values = take_reader_options(values, command.reader_options, config)
    with warnings.catch_warnings():
        if all(configs_folder() in file.parents for file in files):
            warnings.filterwarnings("ignore", "parsing config_file")  # of strangers, which these are not
        run_bundle(files, values, "dry_run" if dry_run else "run", **arguments)


def _files(name: str, command: Command, options: dict[str, str], more: Sequence[str]) -> list[Path]:
    """The configs of a command, that of a dataset which is taken out of the options, and those that were named."""
    folder = configs_folder()
    files = [folder / file for file in command.configs]
    if command.folder is not None:
        # the first place names a file, which has that option in it
        (place, *_), choices = command.places, folder / command.folder
        if place not in options:
            raise ValueError(f"{name}: {place} is missing: {_names(choices)}.")
        files.append(_config(choices, options.pop(place), place))
    return files + [_config(folder, given, "config") for given in more]


def _check(name: str, command: Command, options: Mapping[str, Any], config: Mapping[str, Any], knows_all: bool) -> None:
    """Refuse what can be refused before networks are imported."""
    if missing := [place for place in command.places if place not in options and config.get(place) is None]:
        raise ValueError(f"{name}: {missing[0]} is missing, as in: synthfm {name} {command.example}")
    if knows_all and command.reader_options is None:
        for option in options:
            if option.removeprefix("+").isidentifier() and option.removeprefix("+") not in config:
                raise no_such_option(option, config)
    typed = {option: text for option, text in options.items() if isinstance(text, str)}
    check_inputs({"dataset_dir": str(config.get("dataset_dir")), **typed})
    if command.own is PROMPTS and item_at(config, "dataset::data::0::points") == "@points":
        check_prompted({*options, *(key for key in config if config[key] is not None)})


def _options(name: str, places: Sequence[str], words: Sequence[str], longer: Sequence[str] = ()) -> dict[str, str]:
    """Options by name, with the words that have none; ``longer`` are options of several words, taken before."""
    found, typed = split_words(words)
    if len(found) > len(places):
        for option in typed:
            if near := get_close_matches(option, longer, 1, 0.8):  # misspelled, it leaves its further words behind
                raise ValueError(f"there is no option {option!r}; did you mean {near[0]!r}?")
        takes = f"takes {' and '.join(places)}" if places else "takes options alone"
        raise ValueError(f"{name} {takes}, but {found[len(places)]!r} belongs to no option.")
    named = dict(zip(places, found, strict=False))
    typed = {_SHORT.get(option, option): value for option, value in typed.items()}
    if twice := sorted(named.keys() & typed):
        raise ValueError(f"{twice[0]} is given twice: {named[twice[0]]!r} and {typed[twice[0]]!r}.")
    return {**named, **typed}


def _take_configs(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words without ``--config file``, which may be repeated, and the files."""
    rest: list[str] = []
    files: list[str] = []
    following = iter(words)
    for word in following:
        flag, given, value = word.partition("=")
        if flag != "--config":
            rest.append(word)
        elif found := value if given else next(following, ""):
            files.append(found)
        else:
            raise ValueError("--config must be followed by a file, or the name of a config of the bundle.")
    return rest, files


def _config(folder: Path, given: str, what: str) -> Path:
    """A config by its name in a folder, such as ``finetune`` or ``datasets/folder``, or by its path."""
    own = Path(given)
    named = [] if own.is_absolute() or ".." in own.parts else [folder / f"{given}.yaml", folder / own]
    for path in (own, *named) if len(own.parts) > 1 else (*named, own):
        if path.is_file():
            return path
    known = [path.stem for path in folder.glob("*.yaml")]
    raise ValueError(f"{what} {given!r} is neither a file nor one of the bundle{_nearest(given, known)}")


def _view(words: Sequence[str]) -> None:
    try:
        show = import_module("monai_synthfm.viewer.__main__").main
    except ImportError as error:
        raise ImportError(f"view needs the extra of that name: pip install 'monai-synthfm[view]' ({error})") from error
    sys.exit(show(list(words)))


def _nearest(name: str, known: Any) -> str:
    nearest = get_close_matches(name, sorted(known), 1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; there are {', '.join(sorted(known))}."


def _names(folder: Path) -> str:
    return "one of " + ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
