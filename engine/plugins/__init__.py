"""Discovery and loading of node packs, the built-in one too, and the catalogue kept on disk so that none need be imported.

Glossary: a *pack* is a package or file of nodes; a *module file* is one file of it that is imported by itself; a
*definition* is a node with its code; the *catalogue* has the declarations (NodeSpec) alone; the *fingerprint* says whether any
source file is other than when the catalogue was stored; the *version* of a node is a digest of the code it can reach.
"""
