"""Which candidates are screened, and what makes a good one."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from crystalgnn_core.base import ADDED_LATER, FrozenModel


class ScoreConfig(FrozenModel):
    """Desirability of a candidate, between 0 and 1, from its own predictions alone.

    score = d_E^w * d_gap^(1 - w), the weighted geometric mean of two desirabilities
    (Derringer & Suich, J. Qual. Technol. 12, 214 (1980)):

    * d_E falls smoothly from 1 to 0 around `energy_midpoint`:
      1 / (1 + exp((E - energy_midpoint) / energy_width));
    * d_gap is 1 inside the gap window and exp(-(distance / gap_width)^2 / 2) outside.

    Attributes:
        energy_midpoint: Formation energy with desirability 1/2, eV/atom.
        energy_width: Width of the transition, eV/atom.
        gap_window: Lowest and highest wanted band gap, eV.
        gap_width: How quickly desirability falls outside the window, eV.
        energy_weight: Weight w of the energy.
    """

    energy_midpoint: float = -1.0
    energy_width: Annotated[float, Field(gt=0)] = 0.5
    gap_window: tuple[float, float] = (1.0, 3.0)
    gap_width: Annotated[float, Field(gt=0)] = 0.5
    energy_weight: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _window_is_ordered(self) -> Self:
        if self.gap_window[0] > self.gap_window[1]:
            raise ValueError(f"gap_window {self.gap_window} is empty; give lowest, highest")
        return self


class PrescreenConfig(FrozenModel):
    """A fast model that decides which candidates the models of the screen get to see.

    All candidates are scored with the fast model by the `score` of the screen; the best
    go on, and so do those of which it has no prediction. Where scores are equal, source
    and id decide.

    Attributes:
        models: Model references that together predict formation energy and band gap.
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
    * `extrapolation`: the predicted formation energy lies outside the range of the
      training labels.

    Attributes:
        name: Name of this recurring screen; a re-screen is compared with the last of it.
        sources: Record sources whose materials are candidates.
        models: Model references (a champion, a model id, a bundle folder) that together
            predict formation energy and band gap; empty takes the champion.
        score: What makes a good candidate.
        prescreen: A fast model that leaves the worst candidates out; None screens all.
        allow_mixed_schemes: Judge the ranking, where true values are known, also by values
            of several label schemes of one target, as if they were one.
        top_k: Candidates whose CIF files are written.
        batch_size: Graphs a forward pass.
        device: `auto` takes a CUDA device when there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "default"
    sources: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    score: ScoreConfig = ScoreConfig()
    prescreen: Annotated[PrescreenConfig | None, ADDED_LATER] = None
    allow_mixed_schemes: Annotated[bool, ADDED_LATER] = False
    top_k: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=1)] = 256
    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$")
