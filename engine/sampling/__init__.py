"""From noise to a latent: schedules, samplers, guidance. Functions of tensors that know no node, model file or server."""
