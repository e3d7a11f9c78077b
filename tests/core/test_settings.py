"""Settings that are made to harm, or that YAML readers take in several ways: refused."""

import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.sources.files.source import FilesSource

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


def in_both_ways(key, written, tmp_path):
    """Give a setting in a file and by `--set`."""
    path = tmp_path / "job.yaml"
    path.write_text(key.replace(".", ": {") + f": {written}" + "}" * key.count("."))
    yield lambda: load_config(path)
    yield lambda: load_config(overrides=[f"{key}={written}"])


LEADING = "has a leading zero, which makes it octal for some readers"
WHOLE, NUMBER, CRON = "expected a whole number", "expected a number", "a cron expression"


# YAML 1.1, which PyYAML reads, against 1.2: yaml/pyyaml#107 (02142 is read as 1122), #365
# and #608, opensanctions/opensanctions#3845, pydantic/pydantic#393 (true is 1)
@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("training.epochs", "010", f"010 {LEADING}"),  # 8 or 10
        ("training.seed", "0777", LEADING),  # 511 or 777
        ("training.seed", "-01", LEADING),
        ("training.seed", "00", LEADING),
        ("training.seed", "0_7", LEADING),
        ("screening.top_k", "020", LEADING),
        ("screening.name", "007", LEADING),
        ("schedule.rescreen", "0600", LEADING),
        ("schedule.rescreen", "12:30", CRON),  # 750 s
        ("schedule.rescreen", "1:30:00", CRON),  # 5400 s
        ("schedule.retrain", "1:30.5", CRON),
        ("training.epochs", "1:30", WHOLE),  # 90
        ("training.epochs", "0b11", WHOLE),
        ("screening.score.energy_weight", "0:0.5", NUMBER),
        ("screening.score.gap_window", "[1:0, 3:0]", NUMBER),
        ("training.epochs", "yes", NUMBER),  # 1
        ("training.seed", "off", NUMBER),  # 0
        ("schedule.rescreen", "yes", NUMBER),  # 1 s
        ("screening.score.gap_window", "[no, yes]", f"gap_window.0: {NUMBER}"),
        ("schedule.retrain", ".nan", CRON),
    ],
)
def test_a_number_that_readers_take_in_two_ways_is_refused(key, written, words, tmp_path):
    for load in in_both_ways(key, written, tmp_path):
        with pytest.raises(ConfigError, match=words) as caught:
            load()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("training.seed", "0", 0),
        ("training.seed", "08", 8),
        ("training.seed", "'010'", 10),
        ("training.epochs", "+3", 3),
        ("training.epochs", "1_000", 1000),
        ("screening.score.energy_weight", "0.5", 0.5),
        ("screening.score.energy_weight", "1", 1.0),
        ("screening.score.energy_midpoint", "-0.1", -0.1),
        ("training.optimizer.learning_rate", "1e-3", 0.001),
        ("training.optimizer.learning_rate", "1.5e-3", 0.0015),
        ("training.compile", "yes", True),
        ("schedule.rescreen", "3600", 3600),
        ("schedule.rescreen", "1e4", 10_000.0),  # a text in YAML 1.1
        ("schedule.rescreen", "0 2 * * *", "0 2 * * *"),
        ("schedule.rescreen", "'@daily'", "@daily"),
        ("screening.name", "1_0", "1_0"),
        ("screening.name", "0x1", "0x1"),
    ],
)
def test_other_numbers_mean_what_they_say(key, written, value, tmp_path):
    for load in in_both_ways(key, written, tmp_path):
        found = load()
        for name in key.split("."):
            found = getattr(found, name)
        assert found == value


@pytest.mark.parametrize("written", ["7", "08", "1_0", "0x1", "1:30", "+1", "'012'"])
def test_a_column_named_like_a_number_keeps_its_name(written, tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(
        "sources: [{kind: files, name: x, path: x, "
        f"targets: {{band_gap: {{column: {written}, label_scheme: PBE}}}}}}]\n"
    )
    [source] = load_config(path).sources
    assert isinstance(source, FilesSource)
    assert source.targets["band_gap"].column == written.strip("'")
    for wrong in ("column=012", "scale=yes", "scale=1:30"):
        with pytest.raises(ConfigError, match=f"{LEADING}|{NUMBER}"):
            load_config(path, [f"sources.0.targets.band_gap.{wrong}"])


def test_a_reference_energy_is_no_truth_value_and_not_of_base_60(tmp_path):
    for written in ("yes", "-1:30", "-01"):
        path = tmp_path / "job.yaml"
        path.write_text(
            "sources: [{kind: vasp, name: v, path: x, formation_energy: {corrections: "
            "none, run_types: [GGA], references: {label_scheme: a, energies: "
            f"{{Na: {written}}}}}}}}}]\n"
        )
        with pytest.raises(ConfigError, match=f"energies.Na: {NUMBER}|{LEADING}"):
            load_config(path)
