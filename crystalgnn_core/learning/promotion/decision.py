"""What was decided about a challenger, and on what evidence."""

from __future__ import annotations

from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.learning.promotion.evidence import Evidence

DECISION = "decision.json"
TOGETHER, FROZEN, NEWEST = "together", "frozen", "newest"


class Slice(FrozenModel):
    """A part of the judged rows on which the challenger is worse in one target.

    Attributes:
        name: What the rows have in common, such as `with Fe`.
        target: The target.
        evidence: How much worse.
    """

    name: str
    target: str
    evidence: Evidence


class ModelUsage(FrozenModel):
    """What a model costs.

    Attributes:
        structures_per_second: Speed on the judged rows; depends on what else the machine
            was doing.
        n_bytes: Size of the weights.
    """

    structures_per_second: float
    n_bytes: int


class TopOverlap(FrozenModel):
    """How far two models agree in which of the judged rows they put first.

    Attributes:
        target: Target of which the lowest predictions come first.
        k: Rows that each puts first.
        n_shared: Rows that both do.
    """

    target: str
    k: int
    n_shared: int


class Decision(FrozenModel):
    """The outcome of a comparison.

    A decision of an older version has what stands before `awaits_approval` alone.

    Attributes:
        is_promoted: Whether the challenger wins.
        reason: Why, in one sentence.
        champion: Id of the champion; None when there was none.
        challenger: Id of the challenger.
        n_test: Rows of the champion's frozen test split on which both were judged.
        champion_metrics: Target to errors of the champion on these.
        challenger_metrics: Target to errors of the challenger on these.
        awaits_approval: Whether the challenger has won and a person has to promote it.
        evidence: Of `together`, all judged rows; `frozen`, those of the champion's test
            split; and `newest`, those that came after the champion.
        targets: Target to evidence on all judged rows.
        worse_slices: Where the challenger is worse beyond chance by a relevant amount.
        n_slices: Slices that were looked at.
        n_reused: Earlier comparisons on these rows; one on part of them counts in part.
        retraining_noise: Standard deviation of the improvement between trainings that are
            equal but for the seed.
        level: Share of challengers no better than the champion that may pass, corrected for
            these.
        usage: What champion and challenger cost, by model id.
        top_overlap: Agreement in the first rows; None without a target to sort by.
        judged_digest: Digest of models, rows, labels and rules.
    """

    is_promoted: bool
    reason: str
    champion: str | None
    challenger: str
    n_test: int = 0
    champion_metrics: dict[str, Metrics] = Field(default_factory=dict)
    challenger_metrics: dict[str, Metrics] = Field(default_factory=dict)
    awaits_approval: bool = False
    evidence: dict[str, Evidence] = Field(default_factory=dict)
    targets: dict[str, Evidence] = Field(default_factory=dict)
    worse_slices: tuple[Slice, ...] = ()
    n_slices: int = 0
    n_reused: float = 0.0
    retraining_noise: float | None = None
    level: float | None = None
    usage: dict[str, ModelUsage] = Field(default_factory=dict)
    top_overlap: TopOverlap | None = None
    judged_digest: str = ""
