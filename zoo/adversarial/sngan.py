"""Spectrally normalized GAN.

    min_G max_D  E_x[min(0, D(x) - 1)] + E_z[min(0, -1 - D(G(z)))],   max_G  E_z[D(G(z))]
    every layer of D:  x -> W x / sigma(W),   sigma(W) the largest singular value

A discriminator whose slope is bounded judges steadily. Divided by its spectral norm no layer
stretches anything by more than 1, so D is a 1-Lipschitz function; unlike a gradient penalty this
holds everywhere and costs one turn of the power method a call.

Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative adversarial networks",
ICLR 2018, arXiv:1802.05957.
"""

import keras

from tfgen import losses
from tfgen.errors import InputError
from tfgen.layers.spectral_norm import SpectralConv2D, SpectralDense
from tfgen.networks import neutral
from tfgen.training import Stage
from zoo.adversarial.gan import GAN


class SNGAN(GAN):
    """A GAN whose discriminator may move several times a step, on a fresh part of the batch each.

    Args:
        times: updates of the discriminator a step; the other arguments are those of a GAN.
    """

    def __init__(self, generator, discriminator, element, loss=losses.hinge, times=1):
        super().__init__(generator, discriminator, element, loss)
        self.times = times

    @property
    def objectives(self):
        objectives = super().objectives
        return objectives | {
            "discriminator": objectives["discriminator"]._replace(times=self.times)
        }


def discriminator(element, hidden, width):
    """The neutral one, with no other normalization than that of its kernels."""
    trunk = neutral.features(
        element, hidden, width, neutral.none, convolution=SpectralConv2D, dense=SpectralDense
    )
    # No bias: within the margins of the hinge it has no slope.
    logits = SpectralDense(1, use_bias=False, dtype="float32")(trunk.output)
    return keras.Model(trunk.input, logits, name="discriminator")


LOSSES = {"hinge": losses.hinge, "non_saturating": losses.non_saturating}


def recipe(
    data,
    loss="hinge",
    latent_dim=128,
    hidden=1024,
    width=64,
    times=1,
    learning_rate=2e-4,
    beta_1=0.5,
    beta_2=0.999,
    batch_size=64,
    epochs=20,
):
    """Section 4: Adam 2e-4 with betas 0.5 and 0.999, one update of D (table 1, setting C).

    `loss` is `hinge` (equations 16 and 17) or `non_saturating`; z is N(0, I) of 128, batches are
    of 64. Departures: the neutral networks instead of those of appendix B.4, and our number of
    epochs.
    """
    if loss not in LOSSES:
        raise InputError(f"loss={loss!r} is not one of {', '.join(LOSSES)}")
    model = SNGAN(
        neutral.generator(latent_dim, data.element, hidden, width),
        discriminator(data.element, hidden, width),
        data.element,
        LOSSES[loss],
        times,
    )
    optimizer = keras.optimizers.Adam(learning_rate, beta_1, beta_2)
    yield Stage(model, data, optimizer, batch_size, epochs, together=10)
