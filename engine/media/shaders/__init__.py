"""Fragment shaders on pictures.

- source: what a shader's text says before it is compiled, and what a compiler says of it
- frames: how the two processes talk
- process: the process that draws, from the side of whoever asks
- child: that process, the only place that imports moderngl
- draw: pictures in, pictures out
"""
