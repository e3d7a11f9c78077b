"""Which candidates are screened, and what makes a good one."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from crystalgnn_core.base import FrozenModel


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
        top_k: Candidates whose CIF files are written.
        batch_size: Graphs a forward pass.
        device: `auto` takes a CUDA device when there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "default"
    sources: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    score: ScoreConfig = ScoreConfig()
    top_k: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=1)] = 256
    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$")
