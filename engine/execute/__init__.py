"""Running a graph: only what changed, everything independent at once.

Glossary (see `engine.cache` for action, key, digest, record, early cut-off, remade)
--------
run           One call of `Executor.run`: some outputs of one graph.
state         What a run knows of one node: `state.NodeState`.
needed        A node that a requested output depends on; others get no state. What a lazy input links to is needed only
              once it is read (or was read by the recorded action).
agenda        The states of a run that are still to be settled, and the leaders that it has.
settle        To decide about a node whose input digests are all known: reuse it or run it.
resolved      A node whose output digests are known: it ran, was reused, or was skipped.
crew          The threads at work on a run, and what is ready for them.
supply        To collect the input values of a node that must run; a value that is gone is remade first.
held          Values of a resolved node that the run itself keeps until every consumer is through with them.
leader        The node that runs for all nodes of the same key; the followers take over what it gave.
expansion     A subgraph that a node gave in place of values; its nodes get ids `parent.child`.
display node  The node of the submitted graph that an expanded node belongs to; itself for the others.
blocked       Of a value: an ExecutionBlocker. A node that receives one is skipped and passes it on.
"""
