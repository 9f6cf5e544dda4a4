# On a bare machine with Python 3.11 to 3.13 and a package index: make quickstart, make test.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: quickstart gallery test lint clean

quickstart: $(VENV)/installed
	$(BIN)/tfgen quickstart

gallery: $(VENV)/installed-onnx
	rm -rf build/gallery
	$(BIN)/tfgen gallery --out build/gallery

test: $(VENV)/installed-test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/installed: requirements.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e ".[test]"
	@touch $@

$(VENV)/installed-onnx: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e ".[onnx]"
	@touch $@

$(VENV)/installed-lint: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e ".[lint]"
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
