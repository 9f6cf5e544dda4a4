"""Spectrally normalized GAN.

    max_D  E_x[min(0, D(x) - 1)] + E_z[min(0, -1 - D(G(z)))]
    max_G  E_z[D(G(z))]
    every layer of D:  x -> W x / sigma(W),   sigma(W) the largest singular value

A discriminator whose slope is bounded judges steadily. Divided by its spectral norm no layer
stretches anything by more than 1, so D is a 1-Lipschitz function; unlike a gradient penalty this
holds everywhere and costs one turn of the power method a call.

Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative adversarial networks",
ICLR 2018, arXiv:1802.05957.
"""

import keras

from tfgen.errors import InputError, check_choice
from tfgen.layers.spectral_norm import SpectralConv2D, SpectralDense
from tfgen.networks import neutral
from tfgen.networks.conv import batch_norm
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


def discriminator(element, hidden, width):
    """The neutral one, with no other normalization than that of its kernels."""
    trunk = neutral.features(
        element, hidden, width, neutral.none, convolution=SpectralConv2D, dense=SpectralDense
    )
    return keras.Model(trunk.input, _judge(trunk.output), name="discriminator")


def standard_generator(latents, element, width):
    """The paper's, from `[N, latents]` to `[N, H, W, C]`; H and W are multiples of 8."""
    height, breadth = (side // 8 for side in element.shape[:2])
    x = entry = keras.Input([latents])
    x = keras.layers.Dense(height * breadth * 8 * width, use_bias=False)(x)
    x = keras.layers.ReLU()(batch_norm()(keras.layers.Reshape([height, breadth, 8 * width])(x)))
    for channels in (4 * width, 2 * width, width):
        x = keras.layers.Conv2DTranspose(channels, 4, 2, "same", use_bias=False)(x)
        x = keras.layers.ReLU()(batch_norm()(x))
    x = keras.layers.Conv2D(element.shape[2], 3, 1, "same", dtype="float32", activation="tanh")(x)
    return keras.Model(entry, x, name="generator")


def standard_discriminator(element, width):
    """The paper's, from `[N, H, W, C]` to `[N, 1]`, slopes 0.1."""
    x = entry = keras.Input(element.shape)
    for channels in (width, 2 * width, 4 * width):
        for kernel, stride in ((3, 1), (4, 2)):
            x = keras.layers.LeakyReLU(0.1)(SpectralConv2D(channels, kernel, stride, "same")(x))
    x = keras.layers.LeakyReLU(0.1)(SpectralConv2D(8 * width, 3, 1, "same")(x))
    return keras.Model(entry, _judge(keras.layers.Flatten()(x)), name="discriminator")


def _judge(features):
    """Logits, without a bias: within the margins of the hinge it has no slope."""
    return SpectralDense(1, use_bias=False, dtype="float32")(features)


LOSSES = {"hinge": losses.hinge, "non_saturating": losses.non_saturating}
NETWORKS = ("neutral", "standard")


def recipe(
    data,
    loss="hinge",
    network="neutral",
    latent_dim=128,
    hidden=1024,
    width=64,
    n_critic=1,
    learning_rate=2e-4,
    beta_1=0.5,
    beta_2=0.999,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Adam 2e-4 with betas 0.5 and 0.999 and one update of D, one of the paper's settings.

    z is N(0, I) of 128, batches are of 64. The number of epochs is ours.

    Args:
        loss: `hinge` or `non_saturating`
        network: `neutral`, on which objectives are compared, or `standard`, the paper's
            convolutions, for sizes that are multiples of 8
    """
    check_choice("loss", loss, LOSSES)
    check_choice("network", network, NETWORKS)
    if network == "standard":
        shape = data.element.shape
        if len(shape) != 3 or shape[0] % 8 or shape[1] % 8:
            raise InputError(
                f"network=standard takes images whose sides are multiples of 8, not {shape}: "
                "give an image_size such as 32, or network=neutral"
            )
        players = (
            standard_generator(latent_dim, data.element, width),
            standard_discriminator(data.element, width),
        )
    else:
        players = (
            neutral.generator(latent_dim, data.element, hidden, width),
            discriminator(data.element, hidden, width),
        )
    model = GAN(*players, data.element, LOSSES[loss], n_critic)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1, beta_2), ema)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("sngan", {}, LEARNING_RATE),)
TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),
    Tiny({"network": "standard", "latent_dim": 4, "width": 8, "batch_size": 16}),
)
