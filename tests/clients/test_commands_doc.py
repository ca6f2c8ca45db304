"""docs/COMMANDS.md tells the commands that the server has."""

import subprocess
import sys

from support.server import ROOT


def test_document_is_current():
    check = subprocess.run([sys.executable, str(ROOT / "script" / "commands-doc"), "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
