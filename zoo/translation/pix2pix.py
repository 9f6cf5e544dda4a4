"""Image-to-image translation with conditional adversarial networks.

    min_G max_D  E[log D(a, b)] + E[log(1 - D(a, G(a, z)))] + 100 E[|b - G(a, z)|]

Pairs (a, b) are enough to learn a translation: the L1 term gets the large things right and blurs
what a cannot tell; the discriminator, which looks at patches of a beside b or G(a, z), asks for
sharpness. The noise z is dropout in the generator, in training and in use.

Isola, Zhu, Zhou and Efros, "Image-to-image translation with conditional adversarial networks",
CVPR 2017, arXiv:1611.07004.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError, check_choice
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.initial import narrow
from tfgen.networks.patch import fitting, patch
from tfgen.networks.unet import depth, unet
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny


class Pix2Pix(GenerativeModel):
    """A translator and a discriminator of pairs.

    Args:
        generator: a `keras.Model` from images and seeds int32 `[N, 2]` to images.
        discriminator: a `keras.Model` from two images to logits, one a patch.
        channels: of the images that come and go, which are `[N, H, W, channels]` in [-1, 1].
        multiple: of which H and W must be multiples.
        direction: "a2b" or "b2a": what the endpoint is called.
        weight: of the L1 term.
    """

    def __init__(self, generator, discriminator, channels, multiple, direction, weight=100.0):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.element = Element("images", (None, None, channels), "float32", -1.0, 1.0, multiple)
        self.direction, self.weight = direction, weight

    @property
    def objectives(self):
        return {
            "discriminator": minimize(self.discriminator_loss, self.discriminator),
            "generator": minimize(self.generator_loss, self.generator),
        }

    def discriminator_loss(self, batch):
        inputs, targets = batch
        fakes = self.generator([inputs, random.fresh(inputs)])
        reals, fakes = (self.discriminator([inputs, images]) for images in (targets, fakes))
        # Halved, so that it learns slower than the generator (section 3.3).
        return 0.5 * losses.non_saturating.discriminator(reals, fakes)

    def generator_loss(self, batch):
        inputs, targets = batch
        fakes = self.generator([inputs, random.fresh(inputs)])
        return {
            "adversarial": losses.non_saturating.generator(self.discriminator([inputs, fakes])),
            "l1": self.weight * tf.reduce_mean(abs(targets - fakes)),
        }

    def translate(self, images, seeds):
        """Translations of images; a seed, int32, a row, draws the dropout."""
        return self.generator([images, tf.stack([seeds, tf.zeros_like(seeds)], axis=1)])

    def call(self, images):
        return self.translate(images, tf.range(tf.shape(images)[0]))

    def preview(self, batch):
        """What a picture shows of a batch, a column each: input, translation, truth."""
        return batch[0], self(batch[0]), batch[1]

    @property
    def endpoints(self):
        name = {"a2b": "translate_a_to_b", "b2a": "translate_b_to_a"}[self.direction]
        a, b = (
            self.element._replace(column=column) for column in "ab"
        )  # of the data as they are turned
        return {name: Endpoint(self.translate, (a, SEEDS), (b,))}


def generator(channels, levels, width):
    """A U-Net, then tanh."""
    network = unet(channels, channels, levels, width, narrow(), name="generator")
    images = keras.layers.Activation("tanh", dtype="float32")(network.output)
    return keras.Model(network.input, images, name="generator")


def recipe(
    data,
    direction="a2b",
    width=64,
    strided=3,
    weight=100.0,
    jitter=286 / 256,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=1,
    epochs=200,
):
    """Adam 2e-4 with beta_1 0.5, weights from N(0, 0.02), batch size 1.

    Facades were learnt from labels (B) to photos (A). At 256 pixels the U-Net is 8 levels deep and
    patches are 70x70; a smaller image gets as many levels as it can be halved and as many of the
    `strided` layers as it can bear. Departure: normalization is by image, equal to their batch
    normalization at batch size 1, so what is served does not depend on its batch.

    Args:
        direction: `a2b` or `b2a`, from which domain to which
        width: channels of the first feature map of both networks
        strided: layers of the discriminator that halve the image; 3 make its patches 70x70
        weight: of the L1 term
        jitter: training images are enlarged by this, cropped and mirrored; 1 for none of it
    """
    check_choice("direction", direction, ("a2b", "b2a"))
    if not data.has_domains or not data.paired:
        raise InputError(f"pix2pix learns from pairs, but {data.name} has none: try digit_pairs")
    data = (data if direction == "a2b" else data.swapped).jittered(jitter)
    *sides, channels = data.element.shape
    levels = min(map(depth, sides))
    judge = patch([channels, channels], fitting(min(sides), strided), width, narrow())
    model = Pix2Pix(
        generator(channels, levels, width), judge, channels, 2**levels, direction, weight
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


TINY = (Tiny({"width": 8, "batch_size": 16}, data="digit_pairs"),)
