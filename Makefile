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

# The contract of the zoo has processes of its own, as TensorFlow keeps what it has compiled: all tests
# in one would need 6 GB a process.
test: $(VENV)/installed-test
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest tests/test_zoo.py; zoo=$$?; \
	$(BIN)/python -m pytest --ignore=tests/test_zoo.py && exit $$zoo
endif

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
