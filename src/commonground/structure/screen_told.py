"""The screen for what is told on purpose: parameters, arguments, names of metrics and files, words such as an intent.

A parameter is withheld if its name says that it is a secret (`password`, `hub_token`, `db.api_key`), whatever it holds
but nothing, a short number or a setting that is on or off; or if the screen knows what is in it. What is left is a text
with the mark `[removed: KIND]`: it is a parameter that was given and not kept, and two of them are not known to be the
same. The named arguments of a command go by the same rule.
Numbers are looked at only beside their names, and seeds are never withheld. Names are screened as well; two that
become the same are numbered.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from commonground.plain import Plain
from commonground.structure.names import LONGEST
from commonground.structure.parameters import SEEDS, flatten
from commonground.structure.screen import HARMLESS, kinds_in, mark, screen

WITHHELD: Final = "withheld"
"""Under this name the details of an execution say what was not kept: the place, and what kind of thing it was."""
_STRONG: Final = (
    r"pass(?:word|wort|wd|phrase|code)|pwd|secret|credential|(?:conn(?:ection)?[_-]?str(?:ing)?)|dsn"
    r"|(?:api|access|account|auth|private|secret|license|storage|encryption|signing)[_-]?key"
    r"|(?:access|auth|refresh|bearer|api|session|bot|oauth|personal|security|hub|hf|user|login)[_-]?token"
)
# The pieces of a text that a model reads are called tokens too: pad_token, max_tokens.
_WHOLE_NAME: Final = re.compile(rf"(?i)(?:.*(?<![a-z]))?(?:{_STRONG})s?(?:[_-]?\d{{1,3}})?")
_LAST_NAME: Final = re.compile(rf"(?i)(?:.*(?:{_STRONG})|pass|token)s?(?:[_-]?\d{{1,3}})?|.*token(?:[_-]?\d{{1,3}})?")
_TEXT_TOKEN: Final = re.compile(
    r"(?i)(?:.*[_-])?(?:pad|eos|bos|sep|cls|mask|unk|unknown|special|begin|start|end|stop|first|last|next|new|image|audio"
    r"|video|speech|word|prompt|memory|extra|max|min|num|n|per|by)[_-]?token(?:[_-]?\d{1,3})?"
)
_FLAG: Final = re.compile(r"(?:--?|\+{1,2})?(?P<name>[A-Za-z][\w.\-]{0,100})(?P<value>=.*)?", re.DOTALL)
_SHOWN: Final = 1000
_AS_WORDS: Final = str.maketrans("_-", "  ")


@functools.lru_cache(maxsize=256)
def screen_words(text: str) -> str:
    """Words without the secrets and identifiers that are in them."""
    return screen(text).text


def screen_file_names(names: Sequence[str]) -> list[str]:
    """Names of files as they may be kept: each without what the screen knows, but with its ending."""
    forms = (form for name in names for form in (name, name.translate(_AS_WORDS), PurePath(name).stem))
    # All in one look, which is what most need.
    if not screen("\n".join(forms)).removed:
        return list(names)
    return [_screen_file_name(name) for name in names]


def screen_mapping(told: Mapping[str, Plain]) -> dict[str, Plain]:
    """Plain data by name, whose texts, names among them, have been through the screen."""
    names = KeyNames()
    return {names.clean(str(key)): _beside(str(key), inner) for key, inner in told.items()}


def flatten_screened(params: Mapping[str, Any]) -> tuple[dict[str, Plain], dict[str, str]]:
    """Parameters as plain values with dotted keys, screened, and what was withheld; raises InvalidInput for objects."""
    return screen_params(flatten(params))


def screen_params(params: Mapping[str, Plain]) -> tuple[dict[str, Plain], dict[str, str]]:
    """Flat parameters without what must not be kept, and for each that was withheld the kind of thing that it was."""
    if not params or not _anything(params):
        return dict(params), {}
    names = KeyNames()
    clean: dict[str, Plain] = {}
    withheld: dict[str, str] = {}
    for key, value in params.items():
        name = names.clean(key)
        clean[name] = _beside(key, value)
        # NaN differs from itself.
        if name != key or (clean[name] is not value and clean[name] != value):
            withheld[f"parameter {name}"] = kinds_in(f"{name} {clean[name]}")
    return clean, withheld


def screen_argv(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, each screened; the value of a named one as that of a parameter with this name."""
    clean: list[str] = []
    flag = ""
    for argument in arguments:
        if flag and not argument.startswith("-"):
            clean.append(str(_beside(flag, argument)))
            flag = ""
            continue
        found = _FLAG.fullmatch(argument)
        flag = ""
        if found and found["value"] is not None:
            value = found["value"][1:]
            clean.append(argument[: len(argument) - len(value)] + str(_beside(found["name"], value)))
        else:
            clean.append(screen_words(argument))
            flag = found["name"] if found and argument.startswith("-") else ""
    return clean


class KeyNames:
    """Names as they may be kept, each looked at once; two that become the same are told apart by a number."""

    def __init__(self) -> None:
        self._clean: dict[str, str] = {}
        self._taken: set[str] = set()

    def clean(self, key: str) -> str:
        """The name that is kept for this one."""
        known = self._clean.get(key)
        if known is not None:
            return known
        name = found = screen_words(key)
        number = 2
        while name in self._taken:
            name, number = f"{found} {number}", number + 1
        self._taken.add(name)
        self._clean[key] = name
        return name


def _screen_file_name(name: str) -> str:
    """A name without what the screen knows, first as it stands and then with its words apart; the ending stays."""
    path = PurePath(name)
    stem, suffix = (path.stem, path.suffix) if path.name == name else (name, "")
    clean = screen(stem)
    if not clean.removed:
        clean = screen(stem.translate(_AS_WORDS))
    kept = (clean.text if clean.removed else stem) + screen_words(suffix)
    # A mark may be longer than what it stands for.
    return kept if len(name) > LONGEST else kept[:LONGEST]


def _anything(params: Mapping[str, Plain]) -> bool:
    """Whether there may be something to withhold: all parameters in one look, which is what most runs need."""
    lines: list[str] = []
    for key, value in params.items():
        if _is_secret(key) and not _is_harmless(value):
            return True
        lines.append(f"{_in_words(key)}: {value}")
        lines.extend((key, str(value)))
    return bool(screen("\n".join(lines)).removed)


def _beside(key: str, value: Plain) -> Plain:
    """The value of something with this name, whole, without a part of it, or not at all."""
    if _is_secret(key) and not _is_harmless(value):
        return mark("secret")
    if isinstance(value, bool) or value is None or key.rpartition(".")[2].lower() in SEEDS:
        return value
    if isinstance(value, (int, float)):
        # A number may be a record number; alone it may as well be anything else.
        return mark(kind) if (kind := _kind_beside(key, str(value))) else value
    if isinstance(value, str):
        alone = screen(value)
        if alone.removed:
            return alone.text
        return mark(kind) if (kind := _kind_beside(key, value)) else value
    return _screened(value)


def _screened(value: Plain) -> Plain:
    if isinstance(value, str):
        return screen_words(value)
    if isinstance(value, Mapping):
        return screen_mapping(value)
    if isinstance(value, (list, tuple)):
        return [_screened(inner) for inner in value]
    return value


def _kind_beside(key: str, text: str) -> str | None:
    prefix = f"{_in_words(key)}: "
    found = screen(prefix + text[:_SHOWN])
    return found.removed[0].kind if found.removed and found.text.startswith(prefix) else None


def _in_words(key: str) -> str:
    return key.replace("-", " ").replace("_", " ").replace(".", " ")


def _is_secret(key: str) -> bool:
    """Whether a name says that what it holds is a secret: its last part, or one that holds nothing else."""
    *before, last = key.split(".")
    own = _LAST_NAME.fullmatch(last) is not None and _TEXT_TOKEN.fullmatch(last) is None
    return own or any(_WHOLE_NAME.fullmatch(part) for part in before)


def _is_harmless(value: Plain) -> bool:
    if value is None or isinstance(value, (bool, float)):
        return True
    return HARMLESS.fullmatch(str(value)) is not None or value in ([], {})
