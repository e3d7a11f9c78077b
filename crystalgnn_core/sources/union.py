"""Which sources there are: `AnySource` is the union of their configurations."""

from typing import TYPE_CHECKING

from crystalgnn_core.base import classes_by_kind, union_by_kind
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.sources.base import SourceConfig
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.jarvis.source import JarvisSource
from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource
from crystalgnn_core.sources.optimade.source import OptimadeSource
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.sources.textbook.source import TextbookSource
from crystalgnn_core.sources.vasp import VaspSource
from crystalgnn_core.wording import did_you_mean

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


def source_class(kind: str) -> type[SourceConfig]:
    """Return the class of a kind of source, of this package or of an installed one.

    Raises:
        ConfigError: There is none.
    """
    classes: dict[str, type[SourceConfig]] = classes_by_kind(AnySource)
    if kind not in classes:
        raise ConfigError(
            f"no source of kind {kind!r}, expected {', '.join(sorted(classes))}; install "
            f"the package that offers another{did_you_mean(kind, classes)}"
        )
    return classes[kind]
