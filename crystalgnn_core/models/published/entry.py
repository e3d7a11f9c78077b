"""What is known of a model that others have published."""

from __future__ import annotations

from typing import Literal

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.label_schemes import SchemeName
from crystalgnn_core.remote.downloads import RemoteFile


class StatedError(FrozenModel):
    """An error that the authors state.

    Attributes:
        value: Mean absolute error.
        unit: Its unit; `log10(GPa)` is one of logarithms.
        measured_on: Rows on which it was measured, and who says so.
    """

    value: float
    unit: str
    measured_on: str


class PublishedEntry(FrozenModel):
    """A published model.

    Attributes:
        name: Name by which it is asked for.
        network: Kind of network.
        target: What it predicts; an entry is offered only if there is such a target.
        data_set: What it learned from.
        label_scheme: Scheme of those labels.
        license: Licence of the weights; empty where none is stated.
        error: Published error; None where none was found.
        citation: Paper.
        source: Page on which the weights are published.
        files: The file to convert, and others that must lie beside it.
        figshare: Article and file number on Figshare, whose API states size and MD5.
        is_verified: Whether the conversion was checked on the real file.
    """

    name: str
    network: Literal["cgcnn", "megnet", "alignn"]
    target: str
    data_set: str
    label_scheme: SchemeName
    license: str
    error: StatedError | None
    citation: str
    source: str
    files: tuple[RemoteFile, ...]
    figshare: tuple[int, int] | None = None
    is_verified: bool

    @property
    def provenance(self) -> str:
        """Licence, paper and source in one line."""
        return f"{self.license or 'licence not stated'}; {self.citation}; {self.source}"
