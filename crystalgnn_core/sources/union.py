"""Which sources there are: `AnySource` is the union of their configurations."""

from typing import TYPE_CHECKING

from crystalgnn_core.base import union_by_kind
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.jarvis.source import JarvisSource
from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource
from crystalgnn_core.sources.optimade.source import OptimadeSource
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.sources.textbook.source import TextbookSource
from crystalgnn_core.sources.vasp import VaspSource

BuiltinSource = (
    FilesSource
    | JarvisSource
    | MaterialsProjectSource
    | OptimadeSource
    | SyntheticSource
    | TextbookSource
    | VaspSource
)
if TYPE_CHECKING:
    AnySource = BuiltinSource
else:  # with those of installed packages
    AnySource = union_by_kind(BuiltinSource, group="crystalgnn.sources")
