# Everything a person types. The virtual environment is made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test slow check bench table peers format clean

run: $(VENV)/run.stamp
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/dev.stamp browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

slow: $(VENV)/dev.stamp browser
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp browser
	$(BIN)/python -m benchmarks $(ARGS)

table: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks table --jobs 2 $(ARGS)

peers: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks peers $(ARGS)

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# torch alone first: its requirement is exact, and nothing else may pull in another build.
$(VENV)/run.stamp: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements-int8.txt $(VENV)/run.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# The browser tests drive a system Chromium; where there is none, Debian's is installed.
.PHONY: browser
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || (apt-get update -qq && apt-get install -y -qq chromium)
