"""The releases of JARVIS-DFT by name: where they are, and how they are fetched.

Names of files, numbers on Figshare, rounded counts and papers are those in
`jarvis/db/figshare.py` of jarvis-tools 2026.6.12. Its `dft_3d` means the newest release,
which was another one each time, so here every release has the name of its year.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import DownloadError, TransientError
from crystalgnn_core.remote.downloads import (
    RETRY_POLICY,
    RemoteFile,
    RetryPolicy,
    fetch,
    is_cached,
)
from crystalgnn_core.remote.figshare import API, article_file

if TYPE_CHECKING:
    from pathlib import Path

ReleaseName = Literal["dft_3d_2021", "dft_3d_2022", "dft_3d_2025"]
DEFAULT_RELEASE: ReleaseName = "dft_3d_2021"  # published errors of models are on this one
ARTICLE = 6815699  # of all releases; a later release is a new version of it
_PAPER = (
    "Choudhary et al., npj Comput. Mater. 6, 173 (2020), doi:10.1038/s41524-020-00440-1"
)
_LATER = f"{_PAPER}; doi:10.1016/j.commatsci.2025.114063"


class Release(FrozenModel):
    """A release of the three-dimensional materials of JARVIS-DFT.

    Attributes:
        file: Number of its file on Figshare.
        member: Name of the JSON file in the archive.
        n_about: Materials, rounded.
        citation: What to cite.
    """

    file: int
    member: str
    n_about: int
    citation: str

    @property
    def remote(self) -> RemoteFile:
        """The archive, before the host states its size and MD5."""
        url = f"https://ndownloader.figshare.com/files/{self.file}"
        return RemoteFile(url=url, name=f"{self.member}.zip")


RELEASES: dict[ReleaseName, Release] = {
    "dft_3d_2021": Release(
        file=29204826, member="jdft_3d-8-18-2021.json", n_about=55_000, citation=_PAPER
    ),
    "dft_3d_2022": Release(
        file=38521619, member="jdft_3d-12-12-2022.json", n_about=76_000, citation=_LATER
    ),
    "dft_3d_2025": Release(
        file=64391379, member="jdft_3d-9-24-2025.json", n_about=94_000, citation=_LATER
    ),
}


def fetch_release(
    name: ReleaseName, folder: Path, *, api: str = API, policy: RetryPolicy = RETRY_POLICY
) -> Path:
    """Return the archive of a release; download it when it is not in the folder.

    Raises:
        DownloadError: The file is not to be had, or is not the expected one.
        TransientError: The host cannot be reached.
    """
    release = RELEASES[name]
    file = release.remote
    if is_cached(file, folder):
        return fetch(file, folder, policy)
    try:
        stated = article_file(ARTICLE, release.file, api=api, policy=policy)
        return fetch(stated.model_copy(update={"name": file.name}), folder, policy)
    except (DownloadError, TransientError) as error:
        raise type(error)(
            f"{error}; or save {file.url} manually as {folder / file.name}"
        ) from error
