from .compaction import Compaction as Compaction
from .compaction import compact_store as compact_store
from .integrity import Checked as Checked
from .integrity import Damage as Damage
from .integrity import check_store as check_store
