"""Settings of the gate: five thresholds, and what becomes of those that were more."""

import pyarrow as pa
import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.records.gate.judge import judge
from crystalgnn_core.records.gate.profile import profile_rows
from crystalgnn_core.records.gate.report import GateConfig
from tests.core.records.made_rows import compare_tables, rows

OLD = rows()
NEW = rows(seed=1)


def test_a_user_sets_five_thresholds():
    assert len(GateConfig.model_fields) == 5


def test_former_thresholds_are_reported_and_left_out(caplog):
    given = {"max_rows_lost": 0.3, "max_spread_ratio": 5.0, "min_labels": 50}
    config = load_config(options={"gate": given}).gate
    assert config == GateConfig(max_rows_lost=0.3)
    [line] = caplog.messages
    assert line.startswith("gate: max_spread_ratio, min_labels: no settings any more")
    assert GateConfig.model_validate(config.model_dump()) == config
    with pytest.raises(
        ConfigError, match=r"gate\.max_lost=0.3': unknown key; did you mean max_rows_lost"
    ):
        load_config(overrides=["gate.max_lost=0.3"])


def test_a_limit_of_refused_rows_holds_twice_for_new_ones():
    grown = pa.concat_tables([OLD, NEW.slice(0, 50)])
    before, after = (
        profile_rows("s", n, [table], {"invalid_label": n * 12})
        for n, table in enumerate((OLD, grown))
    )
    changes = compare_tables(OLD, grown)
    assert judge(before, after, changes, GateConfig()).is_suspicious  # 12 of 62
    assert not judge(before, after, changes, GateConfig(max_rejects=0.1)).is_suspicious
