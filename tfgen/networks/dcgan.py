"""The networks of DCGAN (arXiv:1511.06434), called as those of `neutral` are.

Most papers of objectives try theirs on these. `hidden` is of no use to them: they have no hidden
dense layer.
"""

import keras

from tfgen.errors import InputError
from tfgen.networks import conv
from tfgen.networks.initial import narrow


def generator(latents, element, hidden=None, width=128):
    """Transposed convolutions up to the image, then tanh: `[N, latents]` to `[N, H, H, C]`.

    Args:
        latents: how many numbers a latent has, an int.
        element: the `Element` of the images.
        hidden: not used.
        width: channels of the largest feature map.

    Raises:
        InputError: the element is no image, or cannot be halved once.
    """
    network = conv.generator([latents], _image(element), width, narrow())
    images = keras.layers.Activation("tanh", dtype="float32")(network.output)
    return keras.Model(network.input, images, name="generator")


def discriminator(element, outputs=1, hidden=None, width=128, norm=conv.batch_norm):
    """Strided convolutions from the image to `[N, outputs]`, float32; arguments as `generator`."""
    return conv.discriminator(_image(element), outputs, width, narrow(), norm=norm)


def critic(element, hidden=None, width=128, norm=conv.none):
    """Scores `[N, 1]`, float32, by default without normalization; at the end without bias."""
    return conv.discriminator(_image(element), 1, width, narrow(), norm=norm, bias=False)


def _image(element):
    if len(element.shape) != 3:
        raise InputError(f"the networks of DCGAN make images, not rows of {element.shape}")
    return element.shape
