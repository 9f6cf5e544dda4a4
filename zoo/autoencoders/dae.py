"""Denoising autoencoder.

    min  E_x E_q(y|x)[ |x - decode(encode(y))|^2 ],  y a damaged x

What is asked for is not what goes in: a part of each row is wiped out, or noise is added, and the
clean row has to come out. So copying is no solution, even with a code that is wider than the row.
With Gaussian noise of deviation s the best answer is y + s^2 grad log p_s(y): the network learns
where the data are denser.

Vincent, Larochelle, Lajoie, Bengio and Manzagol, "Stacked denoising autoencoders: learning useful
representations in a deep network with a local denoising criterion", Journal of Machine Learning
Research 11, 2010, doi:10.5555/1756006.1953039.
"""

from typing import Annotated

import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Endpoint
from tfgen.errors import check_choice
from tfgen.runs.recipes import Stage, Tiny
from zoo.autoencoders.ae import Autoencoder, adam, check_rows, networks, squared_error


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that gets rows with some of their numbers wiped out.

    Args:
        amount: the share that is wiped out.
        others: as in `Autoencoder`.
    """

    def __init__(self, encoder, decoder, element, amount):
        super().__init__(encoder, decoder, element)
        self.amount = amount

    def damage(self, rows, seeds):
        """Rows with each number set to nothing, black in images, with the probability `amount`."""
        kept = random.uniform(seeds, rows.shape[1:]) >= self.amount
        nothing = self.element.low if self.element.kind == "images" else 0.0
        return tf.where(kept, rows, nothing)

    def error(self, rows):
        """As of an autoencoder, to the clean rows."""
        damaged = self.damage(rows, random.fresh(rows))
        return {"squared_error": squared_error(rows, self.decoder(self.encoder(damaged)))}

    def preview(self, batch):
        """Rows, what is left of them, and what is made of it."""
        damaged = self.damage(batch, tf.range(tf.shape(batch)[0]))
        return batch, damaged, self.reconstruct(damaged)

    @property
    def endpoints(self):
        damaged = self.element
        return super().endpoints | {"denoise": Endpoint(self.reconstruct, (damaged,), (damaged,))}


class GaussianDenoisingAutoencoder(DenoisingAutoencoder):
    """An autoencoder that gets rows with noise of the deviation `amount`; it is not clipped."""

    def damage(self, rows, seeds):
        return rows + self.amount * random.normal(seeds, rows.shape[1:])


NOISES = {"masking": DenoisingAutoencoder, "gaussian": GaussianDenoisingAutoencoder}


def recipe(
    data,
    noise="masking",
    amount: Annotated[float, (0.0, 10.0)] = 0.3,
    latent_dim=500,
    widths=(500,),
    activation="relu",
    learning_rate=1e-3,
    batch_size=100,
    epochs=20,
):
    """One autoencoder, no stack, with a code of 500 numbers.

    Departures: the code is linear, with a layer of 500 ReLUs on each side, and weights are not
    shared by the two sides; squared error for cross-entropy, for which pixels in [-1, 1] are no
    probabilities; Adam for plain gradients.

    Args:
        noise: masking, which wipes out, or gaussian, which is added.
        amount: the share that is wiped out, or the deviation of what is added.
        latent_dim: numbers of a code.
        widths: units of the hidden layers of the encoder; the decoder has them backwards.
        activation: of the hidden layers, a name of Keras.
        learning_rate: of Adam, down to 0 by a cosine over the epochs.
    """
    check_rows("dae", data)
    check_choice("noise", noise, NOISES)
    both = networks(data.element.shape, latent_dim, widths, activation)
    model = NOISES[noise](*both, data.element, amount)
    yield Stage(
        model,
        data,
        adam(learning_rate, data, batch_size, epochs),
        batch_size,
        epochs,
        steps_per_execution=10,
    )


TINY = (
    Tiny({"latent_dim": 8, "widths": (16,), "batch_size": 16}),
    Tiny({"noise": "gaussian", "latent_dim": 8, "batch_size": 16}, "ring"),
)
