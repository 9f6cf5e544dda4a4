"""The devices and the precision of a training."""

import contextlib
import json
import os
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.errors import InputError, check_choice
from tfgen.runs.run_file import PRECISIONS

MOST = 64  # replicas on one machine


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
    if cluster().workers > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = len(tf.config.list_physical_devices("GPU"))
    if replicas != "auto" and replicas > MOST:
        raise InputError(f"replicas={replicas}: at most {MOST} work together on one machine")
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


class Cluster(NamedTuple):
    """How many processes train together, and whether this one is the first, which writes."""

    workers: int = 1
    is_chief: bool = True


def cluster():
    """The `Cluster` that TF_CONFIG tells of: a single one where it is empty or names one machine.

    Raises:
        InputError: it is no TF_CONFIG, or has other roles than a chief and workers.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    expected = (
        'expected {"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'
    )
    try:
        config = json.loads(text or "{}")
        machines, task = config.get("cluster") or {}, config.get("task") or {}
        sizes = {role: len(list(addresses)) for role, addresses in machines.items()}
        if sum(sizes.values()) <= 1:
            return Cluster()
        role, index = task["type"], int(task["index"])
    except KeyError as error:
        raise InputError(f"TF_CONFIG: task has no {error.args[0]!r}: {expected}") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InputError(f"TF_CONFIG is {text[:100]!r}: {expected}") from None
    others = set(sizes) - {"chief", "worker"}
    if others:
        raise InputError(f"TF_CONFIG: {', '.join(others)}: only a chief and workers train together")
    if not 0 <= index < sizes.get(role, 0):
        raise InputError(f"TF_CONFIG: its cluster has no {role} {index}: {expected}")
    first = role == "chief" or ("chief" not in sizes and index == 0)
    return Cluster(sum(sizes.values()), first)
