"""Patches of the network: what nodes put around a denoiser, or inside it, for the calls of a run."""
