"""Training loops: a small latent diffusion model from scratch, by recipe."""
