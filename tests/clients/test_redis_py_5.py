"""The tests of test_redis_py.py once more, with the redis-py 5 that many applications are pinned to."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from support.packages import python_packages

HERE = pathlib.Path(__file__).resolve().parent


def test_redis_py_5():
    folder = python_packages("redis-py-5", HERE / "requirements-redis-py-5.txt")
    environment = {**os.environ, "PYTHONPATH": str(folder), "EXPECTED_REDIS_PY": "5."}
    done = subprocess.run([sys.executable, "-m", "pytest", str(HERE / "test_redis_py.py")], env=environment,
                          cwd=HERE.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
