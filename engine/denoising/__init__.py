"""Where the sampler meets the model: a model made ready for a run, the run itself, and pictures of how far it is."""
