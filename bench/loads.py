"""Runs of quartet_load against a server."""

from __future__ import annotations

import subprocess

from servers import BUILD, Server, place

LOAD = str(BUILD / "quartet_load")
ENDLESS = 10_000_000_000  # requests: the run ends by its time, or when it is stopped
LARGEST_BATCH = 100_000  # bytes of values in a batch that fills the server


class Load:
    """One run of quartet_load on a core of its own, for the length of a `with` block at most."""

    def __init__(self, server: Server, case: str, core: int, ahead: bool = False, **options: object):
        self._server = server
        command = [LOAD, "--port", str(server.load_port), "--server-pid", str(server.pid), "--case", case]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                         preexec_fn=lambda: place(core, ahead))

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> dict[str, float]:
        """Ends the run before its time. What came of it."""
        self._process.terminate()
        return self.outcome()

    def outcome(self) -> dict[str, float]:
        """Waits for the end of the run. Its figures by their names; `cpu_us` is the server's CPU time for one reply."""
        output, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise SystemExit(f"the load on {self._server.name} failed: {output}")
        fields = dict(field.split("=") for field in output.split())
        figures = {name: float(value) for name, value in fields.items() if name != "case"}
        figures["cpu_us"] = figures["server_cpu_us"] / max(figures["replies"], 1)
        return figures


def run(server: Server, case: str, core: int, **options: object) -> dict[str, float]:
    with Load(server, case, core, **options) as load:
        return load.outcome()


def fill(server: Server, case: str, core: int, count: int, value_size: int = 3) -> None:
    """Sends the case `count` times, its numbers counting up: then there are as many keys, or members of one value."""
    pipeline = min(100, max(1, LARGEST_BATCH // max(value_size, 1)))
    outcome = run(server, case, core, requests=count, keys=count, value_size=value_size, pipeline=pipeline,
                  order="sequential", seconds=600)
    if outcome["replies"] < count:
        raise SystemExit(f"{server.name} could not be filled with {count} within ten minutes")
    server.settle()
