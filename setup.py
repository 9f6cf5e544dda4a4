from pathlib import Path

from setuptools import find_packages, setup

ONNX = ["tf2onnx==1.17.0", "onnx>=1.23,<2", "onnxruntime>=1.31,<2"]
SERVING = ["tensorflow-serving-api>=2.19,<3"]
HUB = ["huggingface_hub>=0.30"]
SERVE = ["tornado>=6.5,<7", "orjson>=3.10,<4"]

setup(
    name="tfgen-zoo",  # tfgen is the name of another project on PyPI
    version="0.2.0",
    description="Generative models for TensorFlow and Keras 3: trained, measured, delivered",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    py_modules=["tfgen_zoo"],
    packages=find_packages(include=["tfgen*", "zoo*", "export*"]),
    package_data={
        "zoo": ["*/*.md", "exhibits/*.png", "exhibits/*/*"],
        "export": ["page/*", "wall/*"],
        "tfgen": ["reports/pages/*"],
    },
    python_requires=">=3.11,<3.14",
    # The versions that are tested together stand in requirements.txt.
    install_requires=[
        "tensorflow>=2.21,<3",
        "keras>=3.15,<4",
        "tensorflow-probability>=0.25",
        "tf-keras>=2.20",  # tensorflow-probability imports it and does not say so
        "tensorflow-datasets>=4.9.9",
        "importlib_resources",  # tensorflow-datasets imports it and does not say so
        "ai-edge-litert>=2.0",
        "tensorboard>=2.20",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "h5py>=3.10",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "pillow>=11",
        "safetensors>=0.5",
        "typer>=0.15",
        "rich>=13",
        "setuptools",  # tensorflow-probability imports distutils, gone from Python 3.12
    ],
    extras_require={
        "onnx": ONNX,
        "serving": SERVING,
        "serve": SERVE,
        "hub": HUB,
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "nbclient",
            "nbformat",
            "ipykernel",
            "selenium>=4.20",
            *ONNX,
            *SERVING,
            *SERVE,
            *HUB,
        ],
        "lint": ["ruff>=0.9"],
    },
    entry_points={"console_scripts": ["tfgen = tfgen_zoo:main"]},
)
