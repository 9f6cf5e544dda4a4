"""Unpaired image-to-image translation with cycle-consistent adversarial networks.

    min_{G,F} max_{D_A,D_B}  L(G, D_B) + L(F, D_A) + 10 (E[|F(G(a)) - a|] + E[|G(F(b)) - b|])

Translators G: A -> B and F: B -> A learn from two sets of images without a pair between them. A
discriminator for each domain asks that translations look as if they belonged there, by least
squares; and there and back must be where one was, so that a translation keeps what it is of.

Zhu, Park, Isola and Efros, "Unpaired image-to-image translation using cycle-consistent adversarial
networks", ICCV 2017, arXiv:1703.10593.
"""

import keras
import tensorflow as tf

from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.initial import narrow
from tfgen.networks.patch import fitting, patch
from tfgen.networks.resnet import MULTIPLE, translator
from tfgen.objectives.image_pool import ImagePool
from tfgen.objectives.losses import least_squares
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from tfgen.runs.schedules import ConstantThenLinear


class CycleGAN(GenerativeModel):
    """Two translators, a discriminator for each domain and its pool of past translations.

    Args:
        a_to_b, b_to_a: `keras.Model`s from images to images, `[N, H, W, C]` in [-1, 1].
        discriminator_a, discriminator_b: `keras.Model`s from images to logits, one a patch.
        shape: of a training image, `(H, W, C)`.
        pool: how many translations each pool keeps.
        cycle, identity: weights of these terms.
    """

    def __init__(
        self,
        a_to_b,
        b_to_a,
        discriminator_a,
        discriminator_b,
        shape,
        pool=50,
        cycle=10.0,
        identity=5.0,
    ):
        super().__init__()
        self.a_to_b, self.b_to_a = a_to_b, b_to_a
        self.discriminator_a, self.discriminator_b = discriminator_a, discriminator_b
        self.pool_a, self.pool_b = ImagePool(pool, shape), ImagePool(pool, shape)
        self.element = Element("images", (None, None, shape[-1]), "float32", -1.0, 1.0, MULTIPLE)
        self.cycle, self.identity = cycle, identity

    @property
    def objectives(self):
        judges = self.discriminator_a, self.discriminator_b
        return {
            "discriminators": minimize(self.discriminator_loss, *judges),
            "translators": minimize(self.translator_loss, self.a_to_b, self.b_to_a),
        }

    def discriminator_loss(self, batch):
        reals_a, reals_b = batch
        fakes_a = self.pool_a(self.b_to_a(reals_b))
        fakes_b = self.pool_b(self.a_to_b(reals_a))
        judge_a, judge_b = self.discriminator_a, self.discriminator_b
        # Halved, so that they learn slower than the translators.
        return {
            "a": 0.5 * least_squares.discriminator(judge_a(reals_a), judge_a(fakes_a)),
            "b": 0.5 * least_squares.discriminator(judge_b(reals_b), judge_b(fakes_b)),
        }

    def translator_loss(self, batch):
        a, b = batch
        fakes_a, fakes_b = self.b_to_a(b), self.a_to_b(a)
        return {
            "adversarial_a": least_squares.generator(self.discriminator_a(fakes_a)),
            "adversarial_b": least_squares.generator(self.discriminator_b(fakes_b)),
            "cycle_a": self.cycle * _distance(self.b_to_a(fakes_b), a),
            "cycle_b": self.cycle * _distance(self.a_to_b(fakes_a), b),
            # What belongs to a translator's own target stays as it is.
            "identity_a": self.identity * _distance(self.b_to_a(a), a),
            "identity_b": self.identity * _distance(self.a_to_b(b), b),
        }

    def call(self, images):
        return self.a_to_b(images)

    def preview(self, batch):
        """What a picture shows of a batch, a column each: A, A -> B, A -> B -> A, and from B."""
        a, b = batch
        fakes_a, fakes_b = self.b_to_a(b), self.a_to_b(a)
        return a, fakes_b, self.b_to_a(fakes_b), b, fakes_a, self.a_to_b(fakes_a)

    @property
    def endpoints(self):
        a, b = (self.element._replace(column=column) for column in "ab")
        return {
            "translate_a_to_b": Endpoint(self.a_to_b, (a,), (b,)),
            "translate_b_to_a": Endpoint(self.b_to_a, (b,), (a,)),
        }


def _distance(left, right):
    return tf.reduce_mean(abs(left - right))


def generator(channels, blocks, width, name):
    """A residual network, then tanh."""
    network = translator(channels, channels, blocks, width, narrow(), name)
    images = keras.layers.Activation("tanh", dtype="float32")(network.output)
    return keras.Model(network.input, images, name=name)


def recipe(
    data,
    blocks=9,
    width=64,
    strided=3,
    cycle=10.0,
    identity=5.0,
    pool=50,
    jitter=286 / 256,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=1,
    epochs=200,
):
    """Adam 2e-4, down to 0 over the second half, batch size 1, a pool of 50.

    `blocks` is 9 from 256 pixels on, 6 at 128; patches are 70x70, smaller where an image bears
    fewer than three `strided` layers. The identity term, with half of the cycle's weight, was used
    for paintings; the released code has it for all. The jitter and beta_1 are from that code as
    well. Paired data are shuffled apart. A departure: the discriminators move first, on the
    translations of this step's translators, not after them.

    Args:
        blocks: residual blocks of a translator
        width: channels of the first feature map of all networks
        strided: layers of a discriminator that halve the image; 3 make its patches 70x70
        cycle: weight of the cycle terms
        identity: weight of the identity terms; 0 for none
        pool: past translations that a discriminator is shown again
        jitter: training images are enlarged by this, cropped and mirrored; 1 for none of it
        learning_rate: of all networks, down to 0 over the second half
    """
    if not data.has_domains:
        raise InputError(
            f"cyclegan learns from two domains, but {data.name} is one set: try digit_unpaired"
        )
    if batch_size > pool:
        raise InputError(f"batch_size={batch_size} is larger than the pool of pool={pool} images")
    data = data.unpaired.jittered(jitter)
    *sides, channels = shape = data.element.shape
    odd = [side for side in sides if side % MULTIPLE]
    if odd:
        raise InputError(f"cyclegan needs an image_size that is a multiple of 4, not {odd[0]}")
    translators = [generator(channels, blocks, width, name) for name in ("a_to_b", "b_to_a")]
    judges = [
        patch(channels, fitting(min(sides), strided), width, narrow(), f"discriminator_{domain}")
        for domain in "ab"
    ]
    model = CycleGAN(*translators, *judges, shape, pool, cycle, identity)
    steps = epochs * data.steps_per_epoch(batch_size)
    rate = ConstantThenLinear(learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate, beta_1)
    optimizer = averaged(optimizer, ema, "translators", others=("discriminators",))
    yield Stage(model, data, optimizer, batch_size, epochs)


TINY = (
    Tiny({"blocks": 1, "width": 8, "pool": 16, "batch_size": 16, "epochs": 1}, data="digit_pairs"),
)
