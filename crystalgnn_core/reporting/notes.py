"""What the stages of a run note down about themselves."""

from __future__ import annotations

from crystalgnn_core.base import FrozenModel


class StageNote(FrozenModel):
    """What a stage did: shown in tables at the end of a run and in the report."""

    stage: str
    seconds: float
    note: str
