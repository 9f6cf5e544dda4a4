"""A picture an epoch of what a translator makes of test images."""

import numpy as np
import tensorflow as tf

from tfgen import callbacks, figures


class Looks(callbacks.Samples):
    """Rows of test data and what the model's `look` makes of them, a column each.

    Args:
        folder: for `epoch_NNN.png`.
        events: the folder for TensorBoard, which shows the same pictures.
        batch: what `look` takes: arrays of rows, the same each time.
    """

    def __init__(self, folder, events, batch):
        super().__init__(folder, events)
        self.batch = batch

    def on_train_begin(self, logs=None):
        self.look = tf.function(self.model.look, autograph=False)
        self.writer = tf.summary.create_file_writer(str(self.events))

    def picture(self):
        return side_by_side([column.numpy() for column in self.look(self.batch)])


def side_by_side(columns):
    """A `figures.table` whose columns are given: each float `[N, H, W, C]`, of one shape."""
    return figures.table(np.stack(columns, axis=1))
