"""Restricted Boltzmann machine.

    p(v) = exp(-F(v)) / Z,   F(v) = -a.v - sum_j softplus(b_j + (v W)_j),
    min  E_x[F(x)] - E_v~p[F(v)],   whose slope is that of -log p(x)

Binary pixels and binary hidden units, each layer independent given the other. Draws of p are not
to be had; k steps of a Gibbs chain take their place: from the data (contrastive divergence, CD), or
from where a chain that is never reset has got to (persistent CD). Samples are drawn by a Gibbs
chain too, and log Z is estimated by annealed importance sampling.

Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14,
2002, doi:10.1162/089976602760128018; persistent chains: Tieleman, "Training restricted Boltzmann
machines using approximations to the likelihood gradient", ICML 2008, doi:10.1145/1390156.1390290.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data.levels import binarize, from_unit, to_unit
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError, check_choice
from tfgen.model import GenerativeModel, minimize
from tfgen.runs.recipes import Stage, Tiny
from zoo.variational.vae import note_of_gray

CHAINS = 2**24  # added to the numbers of persistent chains, whose noise is not that of rows


class Energy(keras.layers.Layer):
    """The weights W `[D, H]` and the biases a `[D]`, b `[H]` of a machine, with its conditionals.

    Args:
        visible, hidden: D and H.
    """

    def __init__(self, visible, hidden):
        super().__init__(dtype="float32", name="energy")
        normal = keras.initializers.RandomNormal(stddev=0.01)
        self.weights_ = self.add_weight((visible, hidden), normal, name="weights")
        self.visible = self.add_weight((visible,), "zeros", name="visible")
        self.hidden = self.add_weight((hidden,), "zeros", name="hidden")
        self.built = True

    def inputs(self, v):
        """Log-odds of the hidden units: float32 `[N, H]`."""
        return self.hidden + tf.matmul(v, self.weights_.value)

    def outputs(self, h):
        """Log-odds of the pixels: float32 `[N, D]`."""
        return self.visible + tf.matmul(h, self.weights_, transpose_b=True)

    def call(self, v):
        """The free energy F, float32 `[N]`."""
        own = tf.linalg.matvec(v, self.visible.value)
        return -own - tf.reduce_sum(tf.nn.softplus(self.inputs(v)), axis=-1)


class RBM(GenerativeModel):
    """A machine that is trained by contrastive divergence.

    Args:
        element: the `Element` of the images.
        hidden: H, how many hidden units.
        gibbs: k, steps of the chains of training.
        chain: steps of the chain of `sample`.
    """

    def __init__(self, element, hidden, gibbs=1, chain=1000):
        super().__init__(dtype="float32")
        self.element, self.gibbs, self.chain = element, gibbs, chain
        self.size = math.prod(element.shape)
        self.energy = Energy(self.size, hidden)

    def begin(self, data):
        """Sets a to the log-odds of the mean pixels: the best machine without hidden units."""
        note_of_gray(data)
        means = to_unit(data.rows("train").reshape(data.size, -1).mean(axis=0, dtype="float64"))
        means = np.clip(means, 1e-3, 1 - 1e-3)
        self.energy.visible.assign(np.log(means / (1 - means)))

    @property
    def objectives(self):
        return {"divergence": minimize(self.divergence, self.energy)}

    def divergence(self, images):
        """The mean F of the data, less that of the chains."""
        data = self.observed(images, random.fresh(images))
        model = tf.stop_gradient(self.negatives(data, random.fresh(images)))
        return {
            "data": tf.reduce_mean(self.energy(data)),
            "model": -tf.reduce_mean(self.energy(model)),
        }

    def negatives(self, data, seeds):
        """What the model makes of the data, binary `[N, D]`, by k steps from them."""
        return self.walk(data, seeds, self.gibbs)

    def observed(self, images, seeds):
        """The visible units that are trained on: images, binarized."""
        return tf.reshape(binarize(images, seeds), [-1, self.size])

    def units(self, images):
        """The visible units of images as they are, float32 `[N, D]`; gray ones lie between."""
        return tf.reshape(to_unit(images), [-1, self.size])

    def visible(self, outputs, seeds, stream):
        """Draws visible units from what `Energy.outputs` gives."""
        return coins(outputs, seeds, stream)

    def unconditional(self, seeds, stream):
        """Draws visible units as if there were no weights."""
        base = self.energy.visible + tf.zeros([tf.shape(seeds)[0], 1])
        return self.visible(base, seeds, stream)

    def log_volume(self):
        """log Z of the visible units without weights, a float64 scalar."""
        return tf.reduce_sum(tf.nn.softplus(tf.cast(self.energy.visible, tf.float64)))

    def step_of_gibbs(self, v, seeds, stream):
        """Draws h given v, then v given h: binary `[N, D]`."""
        h = coins(self.energy.inputs(v), seeds, 2 * stream)
        return self.visible(self.energy.outputs(h), seeds, 2 * stream + 1)

    def walk(self, v, seeds, steps, first=0):
        """`steps` steps of Gibbs sampling from v; `first` is the number of the first, for noise."""

        def step(k, v):
            return k + 1, self.step_of_gibbs(v, seeds, first + k)

        # What is drawn has no slope: the loop runs without a tape.
        return tf.while_loop(lambda k, _: k < steps, step, (tf.constant(0), tf.stop_gradient(v)))[1]

    def draw(self, seeds, steps):
        """Visible units `[N, D]` after `steps` steps, from units without weights."""
        return self.walk(self.unconditional(seeds, 1_000_000), seeds, steps)

    def sample(self, seeds):
        """Images of black and white pixels by `chain` steps of Gibbs sampling, of int32 seeds."""
        return self.images(self.draw(seeds, self.chain))

    def images(self, pixels):
        """Images in [-1, 1] of pixels in [0, 1]."""
        return tf.reshape(from_unit(pixels), [-1, *self.element.shape])

    def encode(self, images):
        """Probabilities of the hidden units, float32 `[N, H]`; gray pixels count by their share."""
        return tf.sigmoid(self.energy.inputs(self.units(images)))

    def decode(self, hidden):
        """Images whose pixels are as probable as they are bright, of hidden units `[N, H]`."""
        return self.images(tf.sigmoid(self.energy.outputs(hidden)))

    def reconstruct(self, images):
        """Images through their hidden probabilities and back."""
        return self.decode(self.encode(images))

    def free_energy(self, images):
        """F, float32 `[N]`: log p(x) = -F - log Z."""
        return self.energy(self.units(images))

    def log_partition(self, seeds, temperatures=10_000):
        """Estimates log Z by annealed importance sampling.

        From the machine without weights, whose pixels are on as often as a says, to this one, a
        Gibbs step at each of `temperatures` (Salakhutdinov and Murray, ICML 2008). Its exponential
        is unbiased; the logarithm is too small on average: likelihoods come out too large.

        Args:
            seeds: int32 `[M]`, one a chain.
            temperatures: how many steps.

        Returns:
            The estimate, a float64 scalar, and the log-weights of the chains, float64 `[M]`, whose
            spread says how good it is.
        """
        logs = self._annealed(tf.convert_to_tensor(seeds, tf.int32), tf.constant(temperatures))
        count = tf.cast(tf.shape(seeds)[0], tf.float64)
        return tf.reduce_logsumexp(logs) - tf.math.log(count), logs

    @tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
    def _annealed(self, seeds, temperatures):
        """The log-weights of the chains, see `log_partition`."""
        hidden, base = self.energy.hidden.shape[0], self.energy.visible.value

        def tempered(v, beta):  # log of the unnormalized density
            return tf.reduce_sum(tf.nn.softplus(beta * self.energy.inputs(v)), axis=-1)

        def step(k, v, total):
            below, beta = (tf.cast(n / temperatures, tf.float32) for n in (k, k + 1))
            gain = tempered(v, beta) - tempered(v, below)
            h = coins(beta * self.energy.inputs(v), seeds, 2 * k)
            outputs = base + beta * tf.matmul(h, self.energy.weights_, transpose_b=True)
            return k + 1, self.visible(outputs, seeds, 2 * k + 1), total + tf.cast(gain, tf.float64)

        start = self.unconditional(seeds, 2 * temperatures)
        zeros = tf.zeros(tf.shape(seeds), tf.float64)
        state = (tf.constant(0), start, zeros)
        logs = tf.while_loop(lambda k, *_: k < temperatures, step, state)[2]
        return logs + hidden * math.log(2.0) + self.log_volume()

    def call(self, images):
        return self.reconstruct(images)

    @property
    def endpoints(self):
        images = self.element
        drawn = images._replace(drawn=True)
        hidden = Element("latents", (self.energy.hidden.shape[0],), low=0.0, high=1.0)
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (drawn,), slow=True),
            "energy": Endpoint(self.free_energy, (images,), (Element("energies"),)),
            "encode": Endpoint(self.encode, (images,), (hidden,)),
            "reconstruct": Endpoint(self.reconstruct, (images,), (images,)),
        }


class PersistentRBM(RBM):
    """A machine whose chains of training go on from step to step.

    Each replica walks all of them, as they are few, and by the same noise.

    Args:
        chains: how many.
        others: as in `RBM`.
    """

    def __init__(self, element, hidden, gibbs=1, chain=1000, chains=100):
        super().__init__(element, hidden, gibbs, chain)
        self.chains = self.add_weight(
            (chains, self.size), "zeros", trainable=False, aggregation="only_first_replica"
        )

    def begin(self, data):
        super().begin(data)
        self.chains.assign(self.draw(self.keys(), 0))

    def keys(self):
        """Seeds of the noise of the chains, int32 `[M, 2]`."""
        numbers = tf.range(self.chains.shape[0]) + CHAINS
        return tf.stack([numbers, tf.fill(tf.shape(numbers), self._seed % 2**31)], axis=1)

    def negatives(self, data, seeds):
        return self.chains.value

    def after_step(self, terms):
        """Moves the chains on, by the weights as they are now."""
        first = self.step.value * self.gibbs
        self.chains.assign(self.walk(self.chains.value, self.keys(), self.gibbs, first))


def coins(logits, seeds, stream):
    """1 with the probability sigmoid(logits), else 0: float32 of their shape."""
    draws = random.uniform(seeds, [logits.shape[-1]], stream)
    return tf.cast(draws < tf.sigmoid(logits), tf.float32)


ALGORITHMS = {"cd": RBM, "pcd": PersistentRBM}


def recipe(
    data,
    algorithm="pcd",
    hidden=500,
    gibbs=1,
    chains=100,
    chain=1000,
    learning_rate=0.05,
    batch_size=100,
    epochs=20,
):
    """Plain gradient descent whose rate falls to 0 in a straight line, as Tieleman's does; first
    weights of deviation 0.01 and visible biases at the log-odds of the mean.

    Gray images are binarized anew at each presentation.

    Args:
        algorithm: cd, contrastive divergence, or pcd, with chains that are never reset.
        hidden: how many hidden units.
        gibbs: steps of a chain for each step of training.
        chains: how many chains there are of pcd.
        chain: steps of the chain that draws a sample.
        learning_rate: of the first step.
    """
    if not data.has_images or data.has_domains:
        raise InputError(f"rbm makes images, of one domain, and {data.name} has none")
    check_choice("algorithm", algorithm, ALGORITHMS)
    extra = (chains,) if algorithm == "pcd" else ()
    model = ALGORITHMS[algorithm](data.element, hidden, gibbs, chain, *extra)
    steps = epochs * data.steps_per_epoch(batch_size)
    rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
    optimizer = keras.optimizers.SGD(rate)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


ONLY = {("algorithm", "pcd"): ("chains",)}
TINY = (
    Tiny({"hidden": 6, "chains": 8, "chain": 5, "batch_size": 16}),
    Tiny({"algorithm": "cd", "hidden": 6, "gibbs": 2, "chain": 5, "batch_size": 16}),
)
