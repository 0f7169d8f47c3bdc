"""Settings shared by all tests."""

import hashlib
import os
import tempfile
from pathlib import Path

from hypothesis import settings

# Numba notices a change of a kernel's own file, not of those it calls: compiled code is kept apart for every version
folder = Path(__file__).parent.parent / "kernels"
kernels = sorted([*folder.glob("*.py"), *folder.glob("cpu/**/*.py")])
version = hashlib.sha256(b"".join(path.read_bytes() for path in kernels)).hexdigest()[:16]
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"minipg-kernels-{version}"))

settings.register_profile("minipg", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("minipg")
