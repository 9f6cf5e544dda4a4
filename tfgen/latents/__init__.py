"""What latents and translators are good for once a model is trained."""
