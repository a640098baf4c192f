# make demo [PHOTO=hand.jpg]   one photo → avatar → Blender scene → renders; prints where they are
# make test                    everything CI checks
# make test-gui                the add-on in a real Blender window (Debian packages in a folder; needs root)
# make extension               the zip to install in Blender, built and validated: build/palm_hands-VERSION.zip
# make bench                   the measured claims, printed
# Each sets up all it needs in .venv on a machine with Python 3.11.

PYTHON ?= python3
PHOTO ?=
OUT ?= out
ENV_PYTHON := .venv/bin/python

.PHONY: setup demo test test-gui extension lint bench clean

setup:
	@$(PYTHON) tools/setup_env.py

demo: setup
	@$(ENV_PYTHON) tools/demo.py --out "$(OUT)" $(if $(PHOTO),--photo "$(PHOTO)")

lint: setup
	$(ENV_PYTHON) -m ruff check .
	$(ENV_PYTHON) -m ruff format --check .
	$(ENV_PYTHON) -m mypy

test: lint
	@$(ENV_PYTHON) tools/setup_bpy.py
	@$(ENV_PYTHON) tools/setup_browser.py
	@$(ENV_PYTHON) tools/run_tests.py

test-gui: setup
	@$(ENV_PYTHON) tools/setup_gui.py
	@$(ENV_PYTHON) -m pytest -p no:cacheprovider tests/gui

extension: setup
	@$(ENV_PYTHON) tools/build_extension.py

bench: setup
	$(ENV_PYTHON) benchmarks/capture.py
	$(ENV_PYTHON) benchmarks/avatar.py
	$(ENV_PYTHON) benchmarks/blender.py
	$(ENV_PYTHON) benchmarks/addon.py
	$(ENV_PYTHON) benchmarks/synthesis.py
	$(ENV_PYTHON) benchmarks/fields.py
	$(ENV_PYTHON) benchmarks/deformer.py
	$(ENV_PYTHON) benchmarks/light_transport.py
	$(ENV_PYTHON) benchmarks/memory.py
	$(ENV_PYTHON) benchmarks/prior.py
	$(ENV_PYTHON) benchmarks/registration.py

clean:
	rm -rf out build .pytest_cache .ruff_cache .mypy_cache
