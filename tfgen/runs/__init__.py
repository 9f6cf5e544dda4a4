"""How a recipe becomes a trained model: stages, training, checkpoints, callbacks, diagnostics."""
