"""What stands in a file of weights is read or refused, and never run."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from crystalgnn_core.errors import ModelError
from crystalgnn_core.models.published.opening import (
    checked_state,
    load_torch,
    opening,
    read_settings,
    stated_number,
)


def saved(content, *, is_old=False):
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not is_old)
    stream.seek(0)
    return stream


class Calls:
    """An object for which a pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


ATTACKS = {
    "a blocked module": Calls(os.mkdir, "attacked"),
    "a program": Calls(os.system, "touch attacked"),
    "text": Calls(exec, "open('attacked', 'w')"),
    "a method": Calls(Path.touch, Path("attacked")),
    "a pickle in a pickle": Calls(pickle.loads, pickle.dumps(Calls(os.mkdir, "attacked"))),
    "torch's own loader": Calls(torch.load, "attacked"),
    "a state": Calls(type, "attacked", (), {}),
}


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("name", ATTACKS)
def test_no_code_in_a_pickle_runs(tmp_path, monkeypatch, name, is_old):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth.tar"
    content = {"state_dict": {}, "x": ATTACKS[name]}
    path.write_bytes(saved(content, is_old=is_old).getvalue())
    with (
        pytest.raises(ModelError) as caught,
        opening(path, "checkpoint"),
        path.open("rb") as stream,
    ):
        load_torch(stream)
    assert "which is not run" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("weights_only", "\x1b", "\n"))
    assert [file.name for file in tmp_path.iterdir()] == ["model.pth.tar"]


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize(
    "number",
    [np.float64(0.25), np.float32(0.25), np.int64(-7), np.uint8(3), np.bool_(True)],
)
def test_numbers_of_numpy_become_numbers(number, is_old):
    found = load_torch(saved({"x": number}, is_old=is_old))["x"]
    assert (found, type(found)) == (number.item(), type(number.item()))
    swapped = np.dtype(">f8").type(0.25)
    assert load_torch(saved([swapped], is_old=is_old)) == [0.25]


def test_types_of_numpy_that_are_no_numbers_are_refused():
    text = Calls(np.dtype("f8").type(1).__reduce__()[0], np.dtype("S4"), b"text")
    with pytest.raises(ValueError, match="expected a number"):
        load_torch(saved({"x": text}))


def test_members_that_unpack_to_more_than_the_file_are_refused():
    plain, packed = saved({"x": torch.zeros(10**6)}), io.BytesIO()
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert len(packed.getvalue()) < 10**5
    with pytest.raises(ValueError, match="declare more bytes than the file holds"):
        load_torch(packed)


def test_programs_of_torch_are_refused(tmp_path):
    path = tmp_path / "model.pth.tar"
    path.write_bytes(saved({}).getvalue())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")  # by which torch knows them
    with (
        pytest.raises(ModelError, match="a TorchScript program; save its state_dict"),
        opening(path, "checkpoint"),
        path.open("rb") as stream,
    ):
        load_torch(stream)


ODD = {
    "no array": (3.0, "no array of numbers"),
    "repeated": (torch.zeros(1).expand(10**9), "more numbers than the file holds"),
    "elsewhere": (torch.zeros(10**9, device="meta"), "more numbers than the file holds"),
    "sparse": (torch.eye(2).to_sparse(), "no array of numbers"),
    "not a number": (torch.tensor([1.0, torch.nan]), "not finite"),
}


@pytest.mark.parametrize("name", ODD)
def test_tensors_are_as_large_as_they_say(name):
    value, words = ODD[name]
    with pytest.raises(ValueError, match=words):
        checked_state({"module.weight": value})


def test_settings_of_any_size_are_not_read(tmp_path):
    path = tmp_path / "settings.json"
    with path.open("wb") as stream:
        stream.truncate(2**27)  # sparse, so it takes no space
    with pytest.raises(ValueError, match="too many for settings"):
        read_settings(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_may_bear_a_mark_of_their_encoding(encoding, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"cutoff": 4.0}', encoding=encoding)
    with opening(path, "file with settings", is_text=True):
        assert read_settings(path) == {"cutoff": 4.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"a": 1', "no JSON .line 1, column 8.$"), ("[]", "no keys and values")],
)
def test_settings_that_are_none_are_refused(text, words, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with (
        pytest.raises(ModelError, match=words),
        opening(path, "file with settings", is_text=True),
    ):
        read_settings(path)


def test_what_a_file_states_is_a_number_or_nothing():
    numbers = (3, 0.5, "0.5", np.float64(2), torch.tensor([4.0]), -1)
    assert [stated_number(one) for one in numbers] == [3, 0.5, 0.5, 2, 4, -1]
    others: tuple[object, ...] = (
        None,
        "last",
        [],
        {},
        True,
        float("nan"),
        float("inf"),
        torch.ones(2),
        10**400,
    )
    assert [stated_number(one) for one in others] == [None] * len(others)
