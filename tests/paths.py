"""Where tests find what is not in the package."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # real data and published weights; absent elsewhere
DATA = SHARED / "data"
WEIGHTS = SHARED / "pretrained"
