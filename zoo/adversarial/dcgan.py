"""Deep convolutional generative adversarial networks.

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))],  z ~ U(-1, 1)

The game of `gan`, between convolutional networks that make it stable: strides instead of pooling,
batch normalization in both, no hidden dense layers, ReLU in the generator and leaky ReLU in the
discriminator, tanh at the output, Adam with a small rate and little momentum.

Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks", ICLR 2016, arXiv:1511.06434.
"""

import keras

from tfgen import random
from tfgen.networks import dcgan
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from zoo.adversarial.gan import GAN


class DCGAN(GAN):
    """A GAN of convolutional networks; its endpoints are those of a GAN."""

    def latents(self, seeds):
        """Draws z: float32 `[N, D]`, uniform in (-1, 1), from int32 seeds."""
        return 2.0 * random.uniform(seeds, self.generator.input_shape[1:]) - 1.0


def recipe(
    data,
    latent_dim=100,
    width=128,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=128,
    epochs=10,
):
    """Adam 2e-4 with beta_1 0.5, batches of 128, weights from N(0, 0.02), slopes of 0.2.

    `width` is 128 at 64 x 64 pixels; 64 is enough at 28 x 28. The number of epochs is ours; the
    paper trains faces for many.
    """
    model = DCGAN(
        dcgan.generator(latent_dim, data.element, width=width),
        dcgan.discriminator(data.element, width=width),
        data.element,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "width": 8, "batch_size": 16}),)
