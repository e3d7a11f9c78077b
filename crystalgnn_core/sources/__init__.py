"""Where records come from; `AnySource` is the union of sources, told apart by `kind`."""

from typing import Annotated

from pydantic import Field

from crystalgnn_core.sources.files import FilesSource
from crystalgnn_core.sources.jarvis import JarvisSource
from crystalgnn_core.sources.materials_project import MaterialsProjectSource
from crystalgnn_core.sources.optimade import OptimadeSource
from crystalgnn_core.sources.synthetic import SyntheticSource
from crystalgnn_core.sources.textbook import TextbookSource
from crystalgnn_core.sources.vasp import VaspSource

AnySource = Annotated[
    FilesSource
    | JarvisSource
    | MaterialsProjectSource
    | OptimadeSource
    | SyntheticSource
    | TextbookSource
    | VaspSource,
    Field(discriminator="kind"),
]
