"""Likelihood: bounds of latent-variable models, bits, Parzen windows, annealed importance sampling.

Everything is in nats, and higher is better, but for `bits_per_dimension`.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.data.levels import dequantize
from tfgen.errors import InputError

ROWS = 100  # of a portion


class Likelihood(NamedTuple):
    """A mean of log-likelihoods, and what it is one of.

    Attributes:
        name: what was measured, in full.
        value: the mean over the rows.
        error: its standard error.
        rows: float `[N]`, of which it is the mean.
    """

    name: str
    value: float
    error: float
    rows: np.ndarray


def mean(name, rows):
    """The `Likelihood` of a name and of log-likelihoods `[N]`."""
    rows = np.asarray(rows, "float64")
    error = rows.std(ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
    return Likelihood(f"{name}, N = {len(rows)}", float(rows.mean()), float(error), rows)


def bound(model, batch, samples=1, seed=0, say=lambda done, total: None):
    """Mean over rows of a bound on log p(x): the ELBO, or the importance-weighted one.

    log 1/K sum_k p(x, z_k) / q(z_k|x) is on average below log p(x) and rises with K (Burda et al.,
    2016, arXiv:1509.00519, theorem 1); with K = 1 it is the ELBO, by one draw.

    Args:
        model: has two methods, as `vae` and `cvae` of the zoo: `targets(batch, seeds)`, what the
            likelihood is of, in any structure of tensors (bits of an image; what it is told, too),
            and `importance_bound(targets, seeds, samples)`, float32 `[N]` in nats; seeds are int32
            `[N]`.
        batch: as its losses take it, such as float32 `[N, H, W, C]` in [-1, 1], or a tuple.
        samples: K.
        seed: an int; row n has seed + n.
        say: is told how many rows of how many are done.

    Returns:
        `Likelihood`.

    Raises:
        InputError: the model has no such bound.
    """
    if not hasattr(model, "importance_bound"):
        raise InputError(f"{type(model).__name__} has no bound on its likelihood: take a vae")

    @tf.function(reduce_retracing=True, autograph=False)
    def run(batch, seeds):
        return model.importance_bound(model.targets(batch, seeds), seeds + 10_000, samples)

    rows, count = [], len(tf.nest.flatten(batch)[0])
    for start in range(0, count, ROWS):
        end = min(start + ROWS, count)
        part = tf.nest.map_structure(lambda column: tf.constant(column[start:end]), batch)  # noqa: B023
        rows.append(run(part, tf.range(seed + start, seed + end)).numpy())
        say(end, count)
    name = "ELBO" if samples == 1 else f"IWAE-{samples} bound"
    return mean(f"{name}, seed {seed}", np.concatenate(rows))


def bits_per_dimension(nats, dimensions, width=1.0):
    """The bits that a level takes, from a log-density of dequantized levels.

    A density averaged over the cell of a level is at most the probability of the level (Theis et
    al., 2016, arXiv:1511.01844, section 3.1, by Jensen's inequality), so

        bits >= -log2 P(levels) / D,  bits = -(log p + D log width) / (D log 2)

    Args:
        nats: log p, a float or an array of them.
        dimensions: D, how many numbers a row has.
        width: of a level's cell on the scale of p: 1 for what `levels.dequantize` gives, 1 / 256
            where that was divided by 256 (`GaussianVAE`), 2 / 256 on [-1, 1].

    Returns:
        As `nats`; 8 for a uniform density of 256 levels. Lower is better.
    """
    return -(nats + dimensions * math.log(width)) / (dimensions * math.log(2.0))


def dequantized(log_prob, images, draws=1, seed=0):
    """Mean log-density of levels with uniform noise in each, to go into `bits_per_dimension`.

    Args:
        log_prob: from float32 `[N, H, W, C]` in (0, 256) to `[N]`, a density of width 1.
        images: float32 `[N, H, W, C]` in [-1, 1].
        draws: of noise for each image, over which the log-density is averaged.
        seed: an int; row n has seed + n, in draw d a stream of its own.

    Returns:
        `Likelihood`.
    """
    means = []
    for i in range(0, len(images), ROWS):
        part = tf.convert_to_tensor(images[i : i + ROWS])
        rows = tf.range(seed + i, seed + i + len(part))
        keys = (tf.stack([rows, tf.fill([len(part)], draw)], axis=1) for draw in range(draws))
        means.append(np.mean([log_prob(dequantize(part, key)) for key in keys], axis=0))
    name = f"log-density of dequantized levels, {draws} draws, seed {seed}"
    return mean(name, np.concatenate(means))


# What Goodfellow et al. (2014) try: ten widths from 0.1 to 1, on pixels in [0, 1].
SIGMAS = tuple(np.logspace(-1.0, 0.0, 10))


def parzen(samples, reals, validation, sigmas=SIGMAS):
    """Mean log-density of rows under Gaussian windows at samples, as in the GAN paper (section 5).

    log p(x) = log 1/M sum_i N(x; s_i, sigma^2 I), with the sigma that suits held-out rows best.

    It is given because papers give it, and it misleads (Theis et al., 2016, arXiv:1511.01844): in
    many dimensions it stays far below the true log-likelihood however many samples there are; it
    ranks models wrongly, and centroids of k-means above samples of the data themselves. Choose no
    model by it.

    Args:
        samples: float `[M, ...]`, on the scale of the pixels that `sigmas` are for.
        reals: float `[N, ...]`, on the same scale.
        validation: float `[V, ...]`, other rows than `reals`.
        sigmas: the widths to choose from.

    Returns:
        `Likelihood`, whose name holds the chosen sigma.

    Raises:
        InputError: the rows are of different shapes, or not finite.
    """
    samples, reals, validation = (
        np.reshape(rows, [len(rows), -1]).astype("float64") for rows in (samples, reals, validation)
    )
    for name, rows in (("samples", samples), ("reals", reals), ("validation", validation)):
        if not np.isfinite(rows).all():
            raise InputError(f"the {name} have values that are not finite (NaN)")
        if rows.shape[1] != samples.shape[1]:
            raise InputError(f"{name} of {rows.shape[1]} numbers, samples of {samples.shape[1]}")
    held_out = _windows(samples, validation, sigmas).mean(axis=1)
    sigma = sigmas[int(held_out.argmax())]
    name = f"Parzen window, {len(samples)} samples, sigma {sigma:.3g}"
    return mean(name, _windows(samples, reals, [sigma])[0])


def _windows(samples, rows, sigmas):
    """Log-densities float64 `[S, N]`; all widths from the same distances, block by block."""
    samples, dimensions = tf.constant(samples), samples.shape[1]
    sigmas = tf.constant(sigmas, tf.float64)[:, None]
    normalizer = dimensions * tf.math.log(sigmas * math.sqrt(2 * math.pi))
    squares = tf.reduce_sum(samples**2, axis=1)

    @tf.function(reduce_retracing=True, autograph=False)
    def densities(block):
        products = tf.matmul(block, samples, transpose_b=True)
        distances = tf.reduce_sum(block**2, axis=1)[:, None] - 2 * products + squares  # [B, M]
        # In turn, as all widths at once would take ten times the memory.
        sums = tf.map_fn(
            lambda sigma: tf.reduce_logsumexp(-0.5 * distances / sigma**2, axis=1), sigmas[:, 0]
        )
        return sums - math.log(len(samples)) - normalizer

    parts = [densities(tf.constant(rows[i : i + ROWS])) for i in range(0, len(rows), ROWS)]
    return np.concatenate(parts, axis=1)


class Partition(NamedTuple):
    """An estimate of a log-partition function.

    Attributes:
        log_z: log of the mean of the weights. The mean is unbiased, so its log is on average too
            small, and a likelihood from it too high.
        error: standard error of `log_z`, that of the mean divided by the mean.
        effective: how many independent weights those of all chains are worth, 1 to C. Near 1 the
            estimate is one chain's, and `error` says nothing: take more temperatures.
        log_weights: float64 `[C]`, of the chains.
    """

    log_z: float
    error: float
    effective: float
    log_weights: np.ndarray


def ais(log_density, transition, start, betas, log_base=0.0):
    """Annealed importance sampling (Neal, 2001, arXiv:physics/9803008), all chains at once.

    From exact draws of f_0 over f_1, f_2, … to f_T: a chain's weight is the product of
    f_t(x_t-1) / f_t-1(x_t-1), where x_t comes from x_t-1 by a transition that keeps f_t.

    Args:
        log_density: `(states, beta) -> [C]`, log f, not normalized.
        transition: `(states, beta, step) -> states`, a Markov chain's step that leaves f
            invariant; `step` is an int32 scalar that tells its noise from that of other steps.
        start: tensor `[C, ...]`, independent draws of f at `betas[0]`.
        betas: increasing floats `[T + 1]` from 0 to 1.
        log_base: log of the partition function at `betas[0]`.

    Returns:
        `Partition` of f at `betas[-1]`.
    """
    betas = tf.constant(betas, tf.float32)

    @tf.function(autograph=False)
    def run(states):
        def step(number, states, weights):
            gain = log_density(states, betas[number]) - log_density(states, betas[number - 1])
            # In double precision: ten thousand small gains are added up.
            weights += tf.cast(gain, tf.float64)
            return number + 1, transition(states, betas[number], number), weights

        weights = tf.zeros(tf.shape(states)[:1], tf.float64)
        return tf.while_loop(lambda i, *_: i < len(betas), step, (1, states, weights))[2]

    weights = run(tf.convert_to_tensor(start)).numpy()
    relative = np.exp(weights - weights.max())
    mean = relative.mean()
    return Partition(
        log_z=float(log_base + weights.max() + np.log(mean)),
        error=float(relative.std(ddof=1) / (mean * math.sqrt(len(weights)))),
        effective=float(relative.sum() ** 2 / (relative**2).sum()),
        log_weights=weights,
    )


def rbm_log_z(weights, visible, hidden, base=None, chains=100, betas=None, seed=0):
    """Log-partition function of a restricted Boltzmann machine of binary units.

    E(v, h) = -v W h - v b - h a. The path is that of Salakhutdinov and Murray (ICML
    2008), from an RBM without weights, whose hidden units are dropped as they are annealed away.

    Args:
        weights: float `[V, H]`, W.
        visible, hidden: float `[V]` and `[H]`, the biases b and a.
        base: float `[V]`, visible biases of the machine to start from, best the log-odds of the
            data; 0 by default.
        chains: C; they use 100.
        betas: by default 14,500 temperatures, spaced as theirs.
        seed: an int.

    Returns:
        `Partition`.
    """
    weights, visible, hidden = (
        tf.convert_to_tensor(part, tf.float32) for part in (weights, visible, hidden)
    )
    base = tf.zeros_like(visible) if base is None else tf.convert_to_tensor(base, tf.float32)
    if betas is None:
        parts = (0.0, 0.5, 500), (0.5, 0.9, 4000), (0.9, 1.0, 10_000)
        betas = np.concatenate([np.linspace(*part, endpoint=False) for part in parts] + [[1.0]])

    def log_density(states, beta):
        bias = (1 - beta) * base + beta * visible
        inputs = beta * (states @ weights + hidden)
        return tf.linalg.matvec(states, bias) + tf.reduce_sum(tf.nn.softplus(inputs), axis=1)

    def coins(logits, step, side):
        noise = tf.random.stateless_uniform(tf.shape(logits), [2 * step + side, seed])
        return tf.cast(noise < tf.sigmoid(logits), tf.float32)

    def transition(states, beta, step):
        units = coins(beta * (states @ weights + hidden), step, 0)
        bias = (1 - beta) * base + beta * visible
        return coins(bias + beta * tf.matmul(units, weights, transpose_b=True), step, 1)

    start = coins(tf.tile(base[None], [chains, 1]), tf.constant(0), 0)
    # At beta 0 each hidden unit adds softplus(0) to log f, whatever the visible ones are.
    log_base = float(tf.reduce_sum(tf.nn.softplus(base))) + len(hidden) * math.log(2.0)
    return ais(log_density, transition, start, betas, log_base)


def energy_log_z(energy, dimensions, scale=1.0, chains=100, steps=1000, stride=0.1, seed=0):
    """Log-partition function of an energy over real vectors: log of the integral of exp(-E).

    From N(0, scale^2 I) by the geometric path, with a step of Hamiltonian Monte Carlo (10 leapfrog
    steps) at each temperature.

    Args:
        energy: from float32 `[C, D]` to `[C]`, differentiable.
        dimensions: D.
        scale: of the Gaussian to start from, which should be as wide as exp(-E).
        chains: C.
        steps: temperatures, evenly spaced.
        stride: of a leapfrog step, in units of `scale`.
        seed: an int.

    Returns:
        `Partition`.
    """
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, scale), dimensions)

    def log_density(states, beta):
        return (1 - beta) * base.log_prob(states) - beta * energy(states)

    def transition(states, beta, step):
        kernel = tfp.mcmc.HamiltonianMonteCarlo(
            lambda states: log_density(states, beta), stride * scale, num_leapfrog_steps=10
        )
        results = kernel.bootstrap_results(states)
        return kernel.one_step(states, results, seed=tf.stack([step, seed]))[0]

    start = base.sample(chains, seed=tf.constant([0, seed]))
    return ais(log_density, transition, start, np.linspace(0.0, 1.0, steps + 1))
