"""Which candidates are screened, and what makes a good one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, field_validator, model_serializer, model_validator

from crystalgnn_core.base import ADDED_LATER, FrozenModel, union_by_kind
from crystalgnn_core.screening.criteria import Above, Below, Criterion, Width, Window

if TYPE_CHECKING:
    from pydantic import SerializerFunctionWrapHandler

BuiltinCriterion = Above | Below | Window
if TYPE_CHECKING:
    AnyCriterion = BuiltinCriterion
else:  # with those of installed packages
    AnyCriterion = union_by_kind(BuiltinCriterion, group="crystalgnn.criteria")

# spelling of a formation energy below and a band gap in a window
SHORTER = {"energy_midpoint", "energy_width", "gap_window", "gap_width", "energy_weight"}


class ScoreConfig(FrozenModel):
    """What makes a good candidate, judged by its own predictions alone.

    The score is the weighted geometric mean of the desirabilities of the criteria, between
    0 and 1 (Derringer & Suich, J. Qual. Technol. 12, 214 (1980)). Of a value that a model
    predicts in two parts or with an interval, the mean desirability counts. A formation
    energy below and a band gap in a window can be asked for in a shorter spelling, by the
    other fields:

    * 1 / (1 + exp((E - energy_midpoint) / energy_width)) with weight w, and
    * 1 inside the gap window, exp(-(distance / gap_width)^2 / 2) outside, with 1 - w.

    Attributes:
        criteria: What is wanted of which column; if there are any, none of the fields below
            may be given.
        energy_midpoint: Formation energy with desirability 1/2, eV/atom.
        energy_width: Width of the transition, eV/atom.
        gap_window: Lowest and highest wanted band gap, eV.
        gap_width: How quickly desirability falls outside the window, eV.
        energy_weight: Weight w of the energy; with 1 the gap is not judged, with 0 the
            energy is not.
    """

    criteria: Annotated[tuple[AnyCriterion, ...], ADDED_LATER] = ()
    energy_midpoint: FiniteFloat = -0.5
    energy_width: Width = 0.25
    gap_window: tuple[FiniteFloat, FiniteFloat] = (1.0, 3.0)
    gap_width: Width = 0.25
    energy_weight: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _is_said_once(self) -> Self:
        low, high = self.gap_window
        if low > high:
            raise ValueError(f"gap_window: lowest {low:g} is above highest {high:g}")
        shorter = sorted(self.model_fields_set & SHORTER)
        if self.criteria and shorter:
            raise ValueError(
                f"criteria and {', '.join(shorter)} are both given; state the latter as "
                "criteria, or leave them out"
            )
        if self.criteria and not any(criterion.weight for criterion in self.criteria):
            raise ValueError("no criterion has a weight above 0; raise one")
        return self

    @model_serializer(mode="wrap")
    def _write_one_spelling(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the spelling that is not used, also where a digest is made."""
        written: dict[str, Any] = write(self)
        unused = SHORTER if self.criteria else {"criteria"}
        return {name: value for name, value in written.items() if name not in unused}

    def resolve(self) -> tuple[Criterion, ...]:
        """Return the criteria, also those of the shorter spelling that have a weight."""
        if self.criteria:
            return self.criteria
        low, high = self.gap_window
        both = (
            Below(
                column="formation_energy_per_atom",
                midpoint=self.energy_midpoint,
                width=self.energy_width,
                weight=self.energy_weight,
            ),
            Window(
                column="band_gap",
                low=low,
                high=high,
                width=self.gap_width,
                weight=1.0 - self.energy_weight,
            ),
        )
        return tuple(criterion for criterion in both if criterion.weight)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that the criteria judge, each once."""
        return tuple(dict.fromkeys(criterion.column for criterion in self.resolve()))


class PrescreenConfig(FrozenModel):
    """A fast model that decides which candidates the models of the screen get to see.

    All candidates are scored with the fast model by the `score` of the screen; the best
    go on, and so do those of which it has no prediction. Where scores are equal, source
    and id decide.

    Attributes:
        models: Model references that together predict what the criteria judge.
        keep: How many candidates go on: a number, or a fraction below 1 of all.
    """

    models: Annotated[tuple[str, ...], Field(min_length=1)]
    keep: int | float

    @field_validator("keep")
    @classmethod
    def _keep_is_number_or_fraction(cls, keep: float) -> float:
        if 0 < keep < 1 or (isinstance(keep, int) and keep >= 1):
            return keep
        raise ValueError("give a whole number of candidates, or a fraction between 0 and 1")

    def count(self, n_candidates: int) -> int:
        """Return how many of so many candidates go on."""
        if isinstance(self.keep, int):
            return min(self.keep, n_candidates)
        return math.ceil(round(self.keep * n_candidates, 6))  # 0.1 * 30 is above 3


class ScreeningConfig(FrozenModel):
    """Candidates and ranking.

    The `flags` of a ranked candidate warn about its prediction and leave its score alone;
    several are joined by `;`:

    * `rare_element`: an element occurs in fewer than 5 training rows of a model;
    * `extrapolation`: a prediction that is wanted low or high without a bound, such as the
      formation energy, lies outside the range of the training labels;
    * `unlike_training`: the `novelty` is above 1, farther from the training rows of a model
      than 95 % of its validation rows;
    * `close_atoms`, `dense_cell`, `sparse_cell`: a distance or the volume is unusual for
      the elements, though it may be real;
    * `impossible_charge`: far more fluorine or oxygen than the other atoms can bind.

    Attributes:
        name: Name of this recurring screen; a re-screen is compared with the last of it.
        sources: Record sources whose materials are candidates.
        models: Model references (a champion, a model id, a bundle folder) that together
            predict what the criteria judge; empty takes the champion.
        score: What makes a good candidate.
        prescreen: A fast model that leaves the worst candidates out; None screens all.
        metal_filter: Give the gap of a model that learned from non-metals alone a chance
            that it is zero: by a model of `is_metal` among `models`, or else by whether the
            oxidation states of the formula balance.
        allow_mixed_schemes: Judge the ranking, where true values are known, also by values
            of several label schemes of one target, as if they were one.
        top_k: Candidates whose CIF files are written.
        batch_size: Graphs per forward pass.
        device: `auto` takes a CUDA device when there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "default"
    sources: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    score: ScoreConfig = ScoreConfig()
    prescreen: Annotated[PrescreenConfig | None, ADDED_LATER] = None
    metal_filter: Annotated[bool, ADDED_LATER] = True
    allow_mixed_schemes: Annotated[bool, ADDED_LATER] = False
    top_k: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=1)] = 256
    device: Literal["auto", "cpu", "cuda"] = "auto"
