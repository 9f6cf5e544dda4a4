"""Models that infer latents by an adversarial game: encoders that learn against a discriminator."""
