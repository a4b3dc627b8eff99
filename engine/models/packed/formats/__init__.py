"""The ways of packing weights, a module each: `engine.models.packed.base.Format` says what it has."""
