"""Packages beside those of tests/requirements.txt, installed under build/ when a test first asks for them."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

from support.server import ROOT


def installed(name: str, pins: list[pathlib.Path], install: list[str]) -> pathlib.Path:
    """The folder build/`name`, into which the command `install`, run there, has put what the files `pins` say.

    It is made anew when the content of one of those files has changed.
    """
    folder = ROOT / "build" / name
    stamp = folder / ".installed"
    wanted = "".join(pin.read_text() for pin in pins)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for pin in pins:
            shutil.copy(pin, folder)
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        stamp.write_text(wanted)
    return folder


def python_packages(name: str, requirements: pathlib.Path) -> pathlib.Path:
    """A folder for PYTHONPATH that holds the packages of a requirements file."""
    return installed(name, [requirements], [sys.executable, "-m", "pip", "install", "--quiet", "--target", ".",
                                            "--requirement", requirements.name])


def node_packages(name: str, project: pathlib.Path) -> pathlib.Path:
    """A folder whose node_modules/ is what the package-lock.json of `project` says."""
    return installed(name, [project / "package.json", project / "package-lock.json"],
                     ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"])
