"""What has been computed before, and where its values are.

Glossary
--------
action        One run of one node: its type and version together with the inputs that it really reads.
action key    16 bytes that name an action: a hash of node type, node version and the digests of those inputs.
digest        16 bytes that name a value: a hash of its content where content can be hashed, the identity of a model handle,
              or else the action key that made it together with the output slot.
record        What an action gave: the digests of its outputs, what editors show (ui), or the next step of a lazy chain.
action cache  Action key → record. Tiny, kept for good, shared by all processes that open the same folder.
value store   Digest → value. Bounded in bytes, RAM first, then disk; a value may be gone though its record is there.
lazy chain    Records of a node with lazy inputs: "then it read `on_true`", "then …", and last its outputs.
early cut-off A node ran again and gave equal digests, so the keys below it are unchanged and nothing below runs.
remade        A node whose record is there ran again only because a running node needed its value and the value was gone.
stamp         What a stored value looked like when it was stored (version counters of its tensors, shape of its
              containers), compared when it is served: a value that somebody wrote into is dropped and made again.
private copy  What a node of a pack gets in place of a stored value, and what is stored in place of what it gave: it never has
              the memory that others read.
codec         How values of a type are turned into bytes and back.
"""
