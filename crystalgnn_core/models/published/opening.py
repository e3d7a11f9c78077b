"""Open weights that other programs wrote: nothing in them runs, and they fit the file."""

from __future__ import annotations

import json
import math
import re
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError

from crystalgnn_core.errors import CrystalGNNError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

_START = 512  # bytes that are looked at
_BOM = b"\xef\xbb\xbf"
_OTHERS = (
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer", "run `git lfs pull`"),
    (re.compile(rb".?/annex/"), "a git-annex pointer", "run `git annex get`"),
    (re.compile(rb"\s*<[!?a-z]", re.IGNORECASE), "a web page", "download the file itself"),
    (re.compile(rb"\s*\Z"), "an empty file", "download it again"),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ"), "a compressed file", "unpack it"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive", "unpack it"),
)
_TEXT = re.compile(rb"[^\x00-\x08\x0e-\x1f]+")  # settings are text, weights never are
_SHOWN = 40  # characters of a text in place of weights
_MOST_TEXT = 2**26  # bytes of settings
_SAID = (  # by torch, and what is said in place of it
    (re.compile(r"GLOBAL ([\w.]+)"), "it names code ({}), which is not run"),
    (re.compile(r"class ([\w.]+\.\w+)"), "it names code ({}), which is not run"),
    (re.compile("unrecognized function"), "it calls code, which is not run"),
    (re.compile("TorchScript"), "a TorchScript program; save its state_dict"),
    (
        re.compile("EOF|PytorchStreamReader|inline_container|truncated file"),
        "the file is cut off or damaged",
    ),
    (re.compile("file signature not found"), "no HDF5 file"),
    (
        re.compile("JSONDecodeError.* line (.*) column (.*) .char"),
        "no JSON (line {}, column {})",
    ),
    (re.compile("weights_only"), "damaged, or not written by torch.save"),
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ZIP = b"PK\x03\x04"
_PREFIXES = ("module.", "_orig_mod.")  # of nn.DataParallel and torch.compile
_NUMBER = re.compile(r"[biuf]\d")


class UnsupportedError(Exception):
    """Something in a file for which nothing is built here."""


@contextmanager
def opening(path: Path, what: str, *, is_text: bool = False) -> Iterator[None]:
    """Turn whatever a reader of weights raises into one line.

    Args:
        path: The file, whose first bytes may show that it is something else.
        what: What it should be, without an article.
        is_text: Whether that is text.

    Raises:
        ModelError: The file is missing, or is no such thing.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(_START).removeprefix(_BOM)
        for pattern, name, advice in _OTHERS:
            if pattern.match(start):
                raise ModelError(f"{path}: {name} in place of the {what}; {advice}")
        if not is_text and _TEXT.fullmatch(start):
            said = " ".join(start.decode(errors="replace").split())[:_SHOWN]
            raise ModelError(
                f"{path}: text ({said!r}) in place of the {what}; download the file itself"
            )
        yield
    except CrystalGNNError:
        raise
    except UnsupportedError as error:
        raise ModelError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except Exception as error:
        # torch and h5py raise what damage leads to, RuntimeError, KeyError, MemoryError ...
        raise ModelError(f"{path}: no {what}: {describe(error)}") from error


def describe(error: Exception) -> str:
    """Return what an error found, in one line without advice to run what a file holds."""
    text = _ANSI.sub("", str(error))
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError) and " " not in text:
        return f"it lacks {text}"
    for pattern, found in _SAID:
        if match := pattern.search(f"{type(error).__name__}: {text}"):
            return found.format(*match.groups())
    first_line = (text.strip().splitlines() or [""])[0][:200]
    return (
        first_line if type(error) is ValueError else f"{type(error).__name__}: {first_line}"
    )


def load_torch(stream: IO[bytes], ignored: tuple[str, ...] = ()) -> Any:  # noqa: ANN401  any content
    """Load what `torch.save` wrote: tensors, numbers, text, and their containers.

    numpy's numbers become Python's, the arguments of a command line a dict.

    Args:
        stream: The content.
        ignored: Names of code whose objects stand in the file and are not needed; they
            become objects that do and hold nothing.

    Raises:
        Exception: The file is something else, is damaged, or names other code.
    """
    stream.seek(0)
    if stream.read(len(_ZIP)) == _ZIP:
        _check_members(stream)
    stream.seek(0)
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (type("_Ignored", (_Ignored,), {}), name) for name in ignored
    ]
    with torch.serialization.safe_globals([*stand_ins, *_KNOWN]):
        return torch.load(stream, map_location="cpu", weights_only=True)


def checked_state(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a state without the prefixes of wrappers.

    Raises:
        ValueError: One is no tensor, or declares more numbers than the file holds.
    """
    found = {}
    for full_name, value in state.items():
        name = str(full_name)
        while name.startswith(_PREFIXES):
            name = name.partition(".")[2]
        if not torch.is_tensor(value) or value.layout is not torch.strided:
            raise ValueError(f"{name} is no array of numbers")
        is_whole = value.untyped_storage().nbytes() >= value.numel() * value.element_size()
        if value.device.type != "cpu" or not is_whole:
            raise ValueError(f"{name} declares more numbers than the file holds")
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        found[name] = value
    return found


def checked_scale(mean: float, std: float) -> tuple[float, float]:
    """Return mean and spread of the labels.

    Raises:
        ValueError: No labels have these.
    """
    if not (math.isfinite(mean) and 0.0 < std < math.inf):
        raise ValueError(f"the mean of its labels is {mean:g}, their spread {std:g}")
    return mean, std


def stated_number(value: Any) -> float | None:  # noqa: ANN401  whatever stands there
    """Return a number that a file states beside its weights; None where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file of settings: JSON, with or without a mark of its encoding.

    Raises:
        ValueError: It is far too large to be one, or holds something else.
    """
    if path.stat().st_size > _MOST_TEXT:
        raise ValueError(f"more than {_MOST_TEXT} bytes, too many for settings")
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError("it holds no keys and values")
    return content


def _check_members(stream: IO[bytes]) -> None:
    """Refuse an archive whose members unpack to more than it holds; torch packs none."""
    n_bytes = stream.seek(0, 2)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:  # an offset before the start
        raise ValueError("the file is cut off or damaged") from error
    names = [member.filename for member in members]
    if not any(name.endswith("data.pkl") for name in names):
        raise ValueError(f"a zip archive of {', '.join(names[:3])}; unpack it")
    if sum(member.file_size for member in members) > n_bytes:
        raise ValueError("its members declare more bytes than the file holds")


class _Ignored:
    """Stands for an object that is not needed; does nothing, holds nothing."""

    def __new__(cls, *_: object) -> _Ignored:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Take a state and forget it."""


class _Arguments(dict[str, Any]):
    """Stands for the arguments of a command line."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take them as entries."""
        self.update(state)


class _NumberType:
    """Stands for a type of numpy's numbers."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes."""
        self.order = str(state[1])


def _number(kind: _NumberType, content: bytes) -> float | int | bool:
    """Make the number of which numpy wrote the bytes."""
    if not _NUMBER.fullmatch(kind.code):
        raise ValueError(f"a value of numpy's type {kind.code!r}, expected a number")
    order = kind.order if kind.order in {"<", ">"} else "="
    value: float | int | bool = np.frombuffer(content, order + kind.code)[0].item()
    return value


_KNOWN: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Arguments, "argparse.Namespace"),
    (_NumberType, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
]
