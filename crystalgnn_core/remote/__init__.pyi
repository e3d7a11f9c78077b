from .cache import cache_folder as cache_folder
from .downloads import RemoteFile as RemoteFile
from .downloads import fetch as fetch
from .downloads import fetch_json as fetch_json
