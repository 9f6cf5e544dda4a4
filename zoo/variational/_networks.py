"""What variational autoencoders of fully connected networks share."""

from tfgen.errors import InputError
from tfgen.networks.mlp import mlp


def encoder_and_decoder(name, data, code, latents, hidden, activation):
    """Two networks with hidden layers of `hidden` units, of which the decoder's stand in reverse.

    Args:
        name: of the model, for the error.
        data: a `Data` of images.
        code, latents: shapes of a row: what the encoder gives, and what the decoder takes.
        hidden: widths, from the images on.
        activation: of the hidden layers.

    Returns:
        Two `keras.Model`: images `[N, H, W, C]` to `[N, *code]`, and `[N, *latents]` to logits
        `[N, H, W, C]`.

    Raises:
        InputError: the data are no images.
    """
    shape = data.element.shape
    if len(shape) != 3:
        raise InputError(f"{name} makes images, but {data.name} has rows of {shape}: take images")
    encoder = mlp(shape, code, hidden, activation, name="encoder")
    decoder = mlp(latents, shape, hidden[::-1], activation, name="decoder")
    return encoder, decoder
