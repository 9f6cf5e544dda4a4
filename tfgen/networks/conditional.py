"""Players of images that see a label, `network=conv` of `zoo/conditional`."""

import keras

from tfgen.networks import conv
from tfgen.networks.initial import narrow


def one_hot(classes):
    """A Keras input of labels int32 `[N]`, and what it is as float32 `[N, classes]`."""
    entry = keras.Input([], dtype="int32", name="labels")
    return entry, keras.ops.one_hot(entry, classes)


def generator(latent_dim, classes, element, width):
    """Noise and label to the transposed convolutions of DCGAN, then tanh.

    Args:
        latent_dim: how many numbers a latent has, an int.
        classes: how many there are, an int.
        element: the `Element` of the images, `(H, H, C)`.
        width: channels of the largest feature map.

    Returns:
        A `keras.Model` from `[latents [N, D], labels int32 [N]]` to float32 `[N, H, H, C]`.
    """
    latents, (labels, y) = keras.Input([latent_dim]), one_hot(classes)
    network = conv.generator([latent_dim + classes], element.shape, width, narrow())
    x = network(keras.layers.Concatenate()([latents, y]))
    images = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model([latents, labels], images, name="generator")


def discriminator(classes, element, width):
    """The strided convolutions of DCGAN, over the image and a plane for each class.

    Returns:
        A `keras.Model` from `[images [N, H, H, C], labels int32 [N]]` to logits float32 `[N, 1]`;
        arguments as in `generator`.
    """
    height, breadth, channels = element.shape
    images, (labels, y) = keras.Input(element.shape), one_hot(classes)
    planes = keras.layers.RepeatVector(height * breadth)(y)
    planes = keras.layers.Reshape([height, breadth, classes])(planes)
    network = conv.discriminator((height, breadth, channels + classes), 1, width, narrow())
    logits = network(keras.layers.Concatenate()([images, planes]))
    return keras.Model([images, labels], logits, name="discriminator")
