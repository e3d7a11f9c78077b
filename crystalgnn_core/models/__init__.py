"""Graph networks and models of the composition; `ModelConfig` is the union of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
