"""The modules that packs written for ComfyUI import, made from the facts of PACKS.md on top of this engine.

Glossary: the *shim* is the set of these modules; the *host* is what they reach of the engine; a name is *absent* when packs
may import it but nothing here does what it does, so that calling it raises `CompatError`; a *wrapper* has the methods that
packs call on a model, text encoder or VAE, around one of our handles.

Only a worker calls `install.install_shim`. Until then none of the names can be imported; after it they are made one by one
when a pack imports them.
"""

from engine.plugins.compat.host import Host
from engine.plugins.compat.install import install_shim

__all__ = ["Host", "install_shim"]
