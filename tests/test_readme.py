"""What the documents tell to type: each command is one that there is, and the README's work."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import typer

from tests.test_cli import run
from tfgen import cli
from tfgen.cli.settings import read_settings

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("zoo/*/*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(text):
    """The words of each line of a document that calls `tfgen`."""
    found = re.findall(r"^ {4}tfgen (.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


ALL = [
    pytest.param(words, id=f"{path.name}: {' '.join(words)}")
    for path in DOCUMENTS
    for words in commands(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", ALL)
def test_a_command_in_a_document_is_one_that_there_is(words):
    group = typer.main.get_command(cli.app)
    command, rest = group.commands[words[0]], words[1:]
    if hasattr(command, "commands"):
        command, rest = command.commands[words[1]], words[2:]
    if "…" in rest or "KEY=VALUE" in rest:
        return
    parsed = command.make_context(words[0], list(rest)).params  # raises for what is unknown
    if words[0] == "train":
        read_settings(parsed["model"], parsed["settings"] or [], {})


# The README's commands, on digits and small: `--steps 2` in place of hours.
SMALL = {"fashion_mnist": "digits", "mnist": "digits", "width=64": "width=4", "width=16": "width=4"}
EXTRA = {"dcgan": ["--image-size", "16"], "cgan": ["width=4", "--image-size", "16"]}
QUICK = ("list", "data", "train", "sample", "traverse", "interpolate", "show", "pack")


def test_the_commands_of_the_readme_work_one_after_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = []
    for words in commands(README):
        if words[0] not in QUICK:
            continue
        words = [SMALL.get(word, word) for word in words]
        if words[0] == "train":
            words += [*EXTRA.get(words[1], []), "--steps", "2"]
        if (tmp_path / words[-1]).is_file():  # of a command before
            words.append("--overwrite")
        assert run(*words) == 0, words
        done.append(words[0])
    assert set(done) >= {"list", "data", "train", "sample", "traverse", "interpolate"}


def test_the_python_of_the_readme_runs_as_it_is_written(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    assert run("train", "vae", "hidden=8", "--steps", "1", "--run", tmp_path / "run") == 0
    exported = ("export", tmp_path / "run", "--to", "saved_model", "--out", tmp_path / "OUT")
    assert run(*exported) == 0
    for block in blocks:
        if "http://" in block:  # it wants a server; tests/test_serving.py has one
            compile(block, "README.md", "exec")
            continue
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr[-2000:]}"
