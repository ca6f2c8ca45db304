"""Runs a command in a process of its own, which writes the output to the cache as it comes."""

from __future__ import annotations

import codecs
import multiprocessing
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO

import django
from django.conf import settings

from runner import runs

# A forked process would inherit the web server's threads' locks and its open connections to the cache
# and the database, and talk on them at the same time as its parent. A spawned one starts with nothing.
processes = multiprocessing.get_context("spawn")


def start(command: str) -> str:
    """Starts a command of RUNNER_COMMANDS and returns the id under which its run can be followed."""
    run_id = secrets.token_urlsafe(12)
    runs.save(run_id, runs.new(command))
    # Daemonic, so that a web server that is asked to stop ends its runs instead of waiting for them. One
    # that is killed leaves them to run on, and after a restart their pages show how they went.
    processes.Process(target=run_command, args=(run_id, command), daemon=True).start()
    return run_id


def run_command(run_id: str, command: str) -> None:
    """The background process."""
    django.setup()
    # Turned into an exception, so that whoever ends this process ends the command, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    run = runs.new(command)
    run["state"] = "running"
    runs.save(run_id, run)
    try:
        run["exit_code"] = copy_output(run_id, run, settings.RUNNER_COMMANDS[command])
    except OSError as error:
        runs.append(run_id, run, f"{error}\n")
    finally:
        run["state"] = "finished"
        runs.save(run_id, run)


def copy_output(run_id: str, run: runs.Run, arguments: list[str]) -> int:
    # A chunk may end in the middle of a character, whose rest the decoder then expects in the next one.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with subprocess.Popen(arguments, bufsize=0, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            for chunk in chunks(process.stdout, settings.RUNNER_CHUNK_BYTES, settings.RUNNER_CHUNK_SECONDS):
                runs.append(run_id, run, decoder.decode(chunk))
            if rest := decoder.decode(b"", final=True):
                runs.append(run_id, run, rest)
            return process.wait()
        finally:
            process.kill()  # Does nothing to a command that has ended.


def chunks(stream: IO[bytes], size: int, seconds: float) -> Iterator[bytes]:
    """What comes out of an unbuffered pipe, in chunks of at most `size` bytes, each held back for at most `seconds`."""
    pending = bytearray()
    deadline = 0.0
    while True:
        patience = max(0.0, deadline - time.monotonic()) if pending else None
        if select.select([stream], [], [], patience)[0]:
            block = os.read(stream.fileno(), min(65536, size - len(pending)))
            if not block:
                break
            if not pending:
                deadline = time.monotonic() + seconds
            pending += block
        if len(pending) >= size or time.monotonic() >= deadline:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)
