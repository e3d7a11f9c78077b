"""Everything that the page of a screen shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from crystalgnn_core.reporting.comparison import Comparison
    from crystalgnn_core.reporting.data_sources import DataUse
    from crystalgnn_core.reporting.recovery import RecoveryCurve
    from crystalgnn_core.screening.criteria import Criterion

MAX_TABLE_ROWS = 1000


class StageNote(FrozenModel):
    """What a stage did: shown in tables at the end of a run and in the report."""

    stage: str
    seconds: float
    note: str


@dataclass(frozen=True, kw_only=True)
class ScreenCounts:
    """What became of every candidate: in = scored + rejected + duplicates + prescreened.

    Raises:
        IntegrityError: The counts do not add up.
    """

    n_in: int
    n_scored: int
    n_rejected: int = 0
    n_duplicates: int = 0
    n_prescreened: int | None = None  # None without a pre-screen

    def __post_init__(self) -> None:
        left_out = self.n_prescreened or 0
        found = self.n_scored + self.n_rejected + self.n_duplicates + left_out
        if found != self.n_in:
            prescreened = f" + {left_out} prescreened" if left_out else ""
            raise IntegrityError(
                f"{self.n_in} candidates in, but {self.n_scored} scored + "
                f"{self.n_rejected} rejected + {self.n_duplicates} duplicates"
                f"{prescreened} = {found}; rerun the screen"
            )


@dataclass(frozen=True, kw_only=True)
class ScreenReport:
    """Everything the page shows; all text may come from users' files and is escaped.

    Attributes:
        title: Heading, such as the screen's name.
        subtitle: One line below it, such as model and screen id.
        created: When the screen was made, as shown.
        counts: What became of every candidate.
        ranking: Columns of the ranking contract; optionally `<target>_true` and
            `energy_above_hull_true` where the truth is known, `cif` with a file path
            relative to the page, and `change` since the last screen. Columns without
            values are not shown, and only the first 1000 rows are.
        n_ranked: Rows of the whole ranking, of which `ranking` may be the first part.
        score_description: How the score is made, in words.
        is_synthetic: Whether the data is synthetic, which the page then says prominently.
        model: Key facts on the model.
        settings: Settings of the screen.
        versions: Package and data versions.
        criteria: The criteria of the score, for the map of the candidates.
        label_schemes: Target to label scheme.
        data: What data models and candidates come from, with licences and citations.
        data_facts: What else is known of the data, such as how far the two overlap.
        funnel: Steps with the number of candidates left, beginning with those that came in.
        rejects: Reject reason to count; adds up to `counts.n_rejected`.
        reject_examples: Id, reason and message of some or all rejected candidates.
        parity: Predicted against true values, or probabilities against classes, one entry
            per target and split.
        scatter: See `plots.plane_figure`; None draws no map.
        n_top: Number of leading candidates highlighted in the map.
        quality: How good the ranking is; only where the truth is known.
        not_judged: Why that, or some of it, is not stated although values are known.
        recovery: How early the ranking meets the truly best; only where the truth is known.
        history: Training history, see `history.history_panels`.
        stages: What the stages of the run note down.
        changes: Counts of new, changed, removed and unchanged candidates of a re-screen.
        csv_name: File beside the page that holds the whole ranking; None if there is none.

    Raises:
        IntegrityError: The reject reasons do not add up to the number of rejects.
    """

    title: str
    subtitle: str
    created: str
    counts: ScreenCounts
    ranking: pd.DataFrame
    n_ranked: int
    score_description: str
    is_synthetic: bool = False
    model: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    criteria: Sequence[Criterion] = ()
    label_schemes: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[DataUse] = ()
    data_facts: Mapping[str, str] = field(default_factory=dict)
    funnel: Sequence[tuple[str, int]] = ()
    rejects: Mapping[str, int] = field(default_factory=dict)
    reject_examples: Sequence[tuple[str, str, str]] = ()
    parity: Sequence[Comparison] = ()
    scatter: pd.DataFrame | None = None
    n_top: int = 50
    quality: Mapping[str, str] | None = None
    not_judged: Sequence[str] = ()
    recovery: RecoveryCurve | None = None
    history: pd.DataFrame | None = None
    stages: Sequence[StageNote] = ()
    changes: Mapping[str, int] | None = None
    csv_name: str | None = "ranking.csv"

    def __post_init__(self) -> None:
        found = sum(self.rejects.values())
        if found != self.counts.n_rejected:
            raise IntegrityError(
                f"{self.counts.n_rejected} candidates rejected, but the reasons count "
                f"{found}; rerun the screen"
            )
