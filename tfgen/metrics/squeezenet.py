"""SqueezeNet 1.1 without its classifier, and the two sets of ImageNet weights that it has.

Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x
fewer parameters and < 0.5 MB model size", 2016, arXiv:1602.07360. Version 1.1 is the authors' own
revision in their repository: 64 filters of 3 x 3 first, and earlier pooling.

Caffe's weights are the authors'. PyTorch's were trained from scratch (pytorch/vision, pull request
49): the same shapes, but other filters, so that what is calibrated for one does not fit the other.
"""

import keras
import numpy as np

from tfgen.metrics import weights

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOLED = (0, 2, 4)  # the fire modules before which there is a pooling layer
TAPPED = (1, 3, 4, 5, 6, 7)  # what LPIPS looks at, beside the first convolution
FIRE_AT = (3, 4, 6, 7, 9, 10, 11, 12)  # their places in PyTorch's list of layers

CAFFE_FILE = "squeezenet_v1.1_imagenet_notop.h5"
CAFFE_ADDRESS = (
    "https://github.com/rcmalli/keras-squeezenet/releases/download/v1.0/"
    "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
CAFFE_MEAN = (104.006, 116.669, 122.679)  # blue, green, red levels
TORCH_FILE = "squeezenet1_1.npz"
TORCH_REMEDY = (
    "It holds PyTorch's SqueezeNet 1.1; where torchvision and a network are, write it with "
    "numpy.savez('squeezenet1_1.npz', **{k: v.numpy() for k, v in "
    "torchvision.models.squeezenet1_1(weights='DEFAULT').state_dict().items()})."
)


def caffe():
    """The authors' network, for images in [-1, 1]; see `network`. Raises as `weights.find`."""
    import h5py

    model = network()
    with h5py.File(weights.find(CAFFE_FILE, CAFFE_ADDRESS)) as stored:
        for layer in _convolutions(model):
            group = stored[layer.name.replace("_", "/", 1)]
            layer.set_weights([group[name][()] for name in group.attrs["weight_names"]])
    first = model.get_layer("conv1")
    kernel, bias = first.get_weights()
    # The network takes levels, blue first, less a mean: put into its first layer, which has no
    # padding, it is exact.
    kernel = kernel[:, :, ::-1]
    shift = 127.5 - np.array(CAFFE_MEAN[::-1])
    first.set_weights([127.5 * kernel, bias + np.einsum("hwio,i->o", kernel, shift)])
    return model


def torch():
    """PyTorch's network, for images that are scaled as its own; see `network`.

    Raises:
        InputError: the weights are not in TFGEN_WEIGHTS.
    """
    model = network()
    with np.load(weights.find(TORCH_FILE, remedy=TORCH_REMEDY)) as stored:
        names = ["0"]
        for place in FIRE_AT:
            names += [f"{place}.{part}" for part in ("squeeze", "expand1x1", "expand3x3")]
        for layer, name in zip(_convolutions(model), names, strict=True):
            kernel = stored[f"features.{name}.weight"].transpose(2, 3, 1, 0)
            layer.set_weights([kernel, stored[f"features.{name}.bias"]])
    return model


def network():
    """A Keras model: images `[N, H, W, 3]` to the seven maps that LPIPS looks at.

    They have 64, 128, 256, 384, 384, 512 and 512 channels, and 1/2, 1/4, 1/8 and 1/16 of the size.
    """
    x = inputs = keras.Input([None, None, 3])
    x = keras.layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(x)
    maps = [x]
    for i, (squeeze, expand) in enumerate(FIRES):
        if i in POOLED:
            # Caffe and PyTorch (ceil_mode) pool the remainder too; after a relu zeros do no harm.
            x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
            x = keras.layers.MaxPooling2D(3, strides=2)(x)
        fire = f"fire{i + 2}_"
        x = keras.layers.Conv2D(squeeze, 1, activation="relu", name=fire + "squeeze1x1")(x)
        one = keras.layers.Conv2D(expand, 1, activation="relu", name=fire + "expand1x1")(x)
        three = keras.layers.Conv2D(
            expand, 3, padding="same", activation="relu", name=fire + "expand3x3"
        )(x)
        x = keras.layers.Concatenate()([one, three])
        if i in TAPPED:
            maps.append(x)
    return keras.Model(inputs, maps, name="squeezenet")


def _convolutions(model):
    """Its convolutions, as they follow each other in PyTorch's list."""
    names = ["conv1"]
    for i in range(len(FIRES)):
        names += [f"fire{i + 2}_{part}" for part in ("squeeze1x1", "expand1x1", "expand3x3")]
    return [model.get_layer(name) for name in names]
