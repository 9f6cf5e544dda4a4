"""The devices and the precision of a training."""

import contextlib
import json
import os

import keras
import tensorflow as tf

from tfgen.errors import InputError, check_choice

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@contextlib.contextmanager
def policy(precision):
    """Keras' dtype policy within a block.

    Raises:
        InputError: it is none of `PRECISIONS`.
    """
    check_choice("precision", precision, PRECISIONS)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def strategy(replicas):
    """Several machines where TF_CONFIG names them, else the GPUs of this one, else its CPU."""
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = len(tf.config.list_physical_devices("GPU"))
    if replicas == "auto":
        replicas = max(1, gpus)
    if replicas == 1:
        return tf.distribute.get_strategy()
    if gpus >= replicas:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas)])
    return _logical_cpus(replicas)


def _logical_cpus(count):
    """So many replicas on one CPU: slower than one, but of the same result, so for tests."""
    physical = tf.config.list_physical_devices("CPU")[0]
    with contextlib.suppress(RuntimeError):  # TensorFlow has started: take the devices there are
        tf.config.set_logical_device_configuration(
            physical, [tf.config.LogicalDeviceConfiguration()] * count
        )
    devices = [f"CPU:{i}" for i in range(count)]
    if len(tf.config.list_logical_devices("CPU")) < count:
        raise InputError(f"replicas={count}: TensorFlow has started with fewer logical devices")
    return tf.distribute.MirroredStrategy(
        devices, cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def is_chief():
    """Whether this process writes: the first worker, or the only one."""
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"index": 0})
    return task.get("type") == "chief" or task["index"] == 0
