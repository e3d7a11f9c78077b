"""Files on Figshare: address, size and MD5 as its public API states them."""

from __future__ import annotations

from pydantic import BaseModel, TypeAdapter, ValidationError

from crystalgnn_core.downloads import PATIENCE, Patience, RemoteFile, fetch_json
from crystalgnn_core.errors import DownloadError

API = "https://api.figshare.com/v2"
_PAGE = 100  # files an answer


class _Entry(BaseModel):
    """What is read of the description of a file; the rest is left out."""

    id: int
    name: str
    size: int
    download_url: str
    computed_md5: str = ""
    supplied_md5: str = ""


_ENTRIES = TypeAdapter(list[_Entry])


def article_files(
    article: int, *, api: str = API, patience: Patience = PATIENCE
) -> dict[int, RemoteFile]:
    """Describe the files of a public article, by their ids.

    Args:
        article: Number of the article, the last but one part of its address.
        api: Base address of the API.
        patience: Times and tries.

    Raises:
        DownloadError: There is no such article, or the answer is not understood.
        TransientError: The API cannot be reached.
    """
    files: dict[int, RemoteFile] = {}
    page = 1
    while True:
        url = f"{api}/articles/{article}/files?page={page}&page_size={_PAGE}"
        try:
            entries = _ENTRIES.validate_python(fetch_json(url, patience))
        except ValidationError as error:
            first = error.errors()[0]
            raise DownloadError(
                f"{url}: not a list of files: {first['loc']}: {first['msg']}"
            ) from error
        n_known = len(files)
        for entry in entries:
            files[entry.id] = RemoteFile(
                url=entry.download_url,
                name=entry.name,
                n_bytes=entry.size,
                md5=entry.computed_md5 or entry.supplied_md5,
            )
        # a short page is the last; a service that knows no pages repeats the first
        if len(entries) < _PAGE or len(files) == n_known:
            return files
        page += 1


def article_file(
    article: int, file: int, *, api: str = API, patience: Patience = PATIENCE
) -> RemoteFile:
    """Describe one file of a public article.

    Raises:
        DownloadError: The article has no such file, or there is no such article.
        TransientError: The API cannot be reached.
    """
    files = article_files(article, api=api, patience=patience)
    if file not in files:
        raise DownloadError(
            f"{api}/articles/{article}: no file {file}; it holds {len(files)} others"
        )
    return files[file]
