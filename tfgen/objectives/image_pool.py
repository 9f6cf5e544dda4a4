"""A pool of generated images, so that a discriminator remembers what it has seen.

Shrivastava et al., 2017, arXiv:1612.07828; as used by Zhu et al., 2017, arXiv:1703.10593.
"""

import keras
import tensorflow as tf

from tfgen import random


class ImagePool(keras.layers.Layer):
    """Gives back, for each image, the image itself or an old one whose place it takes.

    While the pool fills, images are stored and given back. Then each is, with probability 1/2,
    exchanged for one from the pool, the rows of a batch for different ones. Outside of training it
    gives back what it gets.

    All state is in variables of the layer, so checkpoints keep it. Each replica holds the pool of
    the whole batch: they exchange their images and decide alike, so two replicas equal one.

    Args:
        size: how many images are kept; at least the batch size over all replicas.
        shape: of an image, `(H, W, C)`.
    """

    def __init__(self, size, shape, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        # All replicas assign the same values.
        self.images = self.add_weight(
            (size, *shape), "zeros", trainable=False, aggregation="only_first_replica"
        )
        self.filled = self.add_weight(
            (), "zeros", "int32", trainable=False, aggregation="only_first_replica"
        )
        self.built = True

    def call(self, images, training=False):
        if not training:
            return images
        replica = tf.distribute.get_replica_context()
        seeds = replica.all_gather(random.fresh(images), axis=0)  # [N, 2], N of all replicas
        arrived = replica.all_gather(images, axis=0)  # [N, H, W, C]
        rows, size = tf.shape(arrived)[0], self.images.shape[0]
        full = self.filled >= size
        anywhere = tf.argsort(random.uniform(seeds[:1], [size], stream=1)[0])[:rows]
        places = tf.where(full, anywhere, (self.filled + tf.range(rows)) % size)  # [N], different
        exchanged = tf.logical_and(full, random.uniform(seeds, [1])[:, 0] < 0.5)
        held = tf.gather(self.images.value, places)
        stored = tf.where(_column(tf.logical_or(exchanged, ~full)), arrived, held)
        given = tf.where(_column(exchanged), held, arrived)
        everything = tf.tensor_scatter_nd_update(self.images.value, places[:, None], stored)
        self.images.assign(everything)
        self.filled.assign(tf.minimum(self.filled + rows, size))
        own = tf.shape(images)[0]
        first = own * replica.replica_id_in_sync_group
        return tf.ensure_shape(given[first : first + own], images.shape)


def _column(flags):
    """Booleans `[N]` beside images `[N, H, W, C]`."""
    return flags[:, None, None, None]
