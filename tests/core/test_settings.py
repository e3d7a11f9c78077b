"""Settings that are made to harm: refused in one line, and nothing runs."""

import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.errors import ConfigError

LEVELS = (f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
BOMB = "\n".join(["a0: &a0 [x, x]", *LEVELS])  # 9 to the 11th values
MANY = "there are more than 100,000 values, aliases written out"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{BOMB}\nstore: *a11", MANY),
        (f"{BOMB}\ntraining: {{<<: *a11}}", MANY),
        ("store: &a [*a]", MANY),
        ("training: &a {epochs: *a}", MANY),
        ("store: " + "[" * 10_000, "nested too deeply"),
        ("store: " + "{a: " * 5000 + "}" * 5000, "nested too deeply"),
        ("training: {epochs: " + "9" * 5000 + "}", r"4300 digits.* value has 5000 digits"),
        ("store: 2001-99-99", "month must be in"),
        ("store: " + "x" * 2**21, "more than 1,048,576 bytes"),
        ("store: !!python/object/apply:os.system [echo]", "could not determine"),
        ("store: !!python/name:os.system", "could not determine"),
        ("store: !!python/object/new:pathlib.Path [x]", "could not determine"),
    ],
)
def test_harmful_settings_are_refused_in_one_line(text, words, tmp_path, monkeypatch):
    monkeypatch.setattr("os.system", lambda _: pytest.fail("code ran"))
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500
    if "\n" not in text and len(text) < 2**20:
        key, _, value = text.partition(": ")
        with pytest.raises(ConfigError, match=words) as caught:
            load_config(overrides=[f"{key}={value}"])
        assert len(str(caught.value)) < 500


def test_aliases_of_a_usual_size_are_read(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("training: {sources: &names [a, b]}\nscreening: {sources: *names}\n")
    config = load_config(path)
    assert config.training.sources == config.screening.sources == ("a", "b")
