"""Packed models on the Hugging Face Hub, through its own library."""

import os
import pathlib

from tfgen.errors import InputError
from tfgen.runs import packing

FILES = (packing.CONFIG, packing.WEIGHTS, "README.md", "samples.png")


def fetch(name, cache=None):
    """The folder of a packed model from the hub, in the hub's cache.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION.
        cache: a folder; None for that of the hub's library.

    Raises:
        InputError: the library is missing, or the model cannot be had.
    """
    hub, (repository, _, revision) = _library(), name.partition("@")
    try:
        folder = hub.snapshot_download(
            repository,
            revision=revision or None,
            cache_dir=cache,
            allow_patterns=list(FILES),
            endpoint=_endpoint(),
        )
    except Exception as error:  # of many classes: the network, a name, an account
        raise InputError(f"hf:{name} cannot be had: {_first_line(error)}") from error
    if not packing.is_packed(folder):
        raise InputError(f"hf:{name} is no packed model of tfgen: it has no {packing.CONFIG}")
    return pathlib.Path(folder)


def push(folder, name, private=False):
    """Uploads a packed model to the hub, and gives its address.

    Args:
        folder: of a packed model, which is checked first.
        name: OWNER/NAME.
        private: whether only its owner sees it.

    Raises:
        InputError: the folder is no whole packed model, the library is missing, or the hub refuses.
    """
    packing.read_weights(folder, packing.read_config(folder))
    hub = _library()
    try:
        api = hub.HfApi(endpoint=_endpoint())
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            allow_patterns=list(FILES),
            commit_message="A packed model of tfgen",
        )
    except Exception as error:
        raise InputError(f"hf:{name} cannot be written: {_first_line(error)}") from error
    return f"{api.endpoint}/{name}"


def _library():
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            "hf: models come through the package huggingface_hub: pip install huggingface_hub"
        ) from None
    return huggingface_hub


def _endpoint():
    """The address of another hub, where HF_ENDPOINT names one, else None."""
    return os.environ.get("HF_ENDPOINT")


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
