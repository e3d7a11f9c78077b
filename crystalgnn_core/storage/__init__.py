"""What lies on disk: written whole or not at all, verified by digest before reuse."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
