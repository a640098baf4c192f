"""`python -m engine`: see cli.py."""

import os
import sys

# OpenMP threads that spin while they wait slow each other down tenfold on a busy machine; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .cli import main

sys.exit(main())
