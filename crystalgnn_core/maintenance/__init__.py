"""Upkeep of a store: compaction and checks of integrity, across the stages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
