from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from runner import background, runs

# A reader who comes late gets the output in several answers instead of one that fills the memory.
CHUNKS_AT_ONCE = 16


def find_run(run_id: str) -> runs.Run:
    run = runs.load(run_id)
    if run is None:
        raise Http404("There is no such run, or it is no longer kept.")
    return run


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "runner/index.html", {"commands": settings.RUNNER_COMMANDS})


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    command = request.POST.get("command", "")
    if command not in settings.RUNNER_COMMANDS:
        return HttpResponseBadRequest("There is no such command.")
    return redirect("run", background.start(command))


@require_GET
def run(request: HttpRequest, run_id: str) -> HttpResponse:
    return render(request, "runner/run.html", {"run_id": run_id, "run": find_run(run_id)})


@require_GET
def output(request: HttpRequest, run_id: str) -> HttpResponse:
    """What the page polls: the output from chunk `after` on, and where to go on from."""
    found = find_run(run_id)
    try:
        after = int(request.GET.get("after", "0"))
    except ValueError:
        return HttpResponseBadRequest("`after` is the number of a chunk.")
    if not 0 <= after <= found["chunks"]:
        return HttpResponseBadRequest("There is no such chunk.")
    end = min(found["chunks"], after + CHUNKS_AT_ONCE)
    return JsonResponse({
        "text": "".join(runs.read(run_id, after, end)),
        "next": end,
        "state": found["state"],
        "exit_code": found["exit_code"],
        "complete": found["state"] == "finished" and end == found["chunks"],
    })


@require_GET
def download(request: HttpRequest, run_id: str) -> StreamingHttpResponse:
    """The output so far, as a file."""
    found = find_run(run_id)

    def content() -> Iterator[str]:
        for first in range(0, found["chunks"], CHUNKS_AT_ONCE):
            yield from runs.read(run_id, first, min(found["chunks"], first + CHUNKS_AT_ONCE))

    return StreamingHttpResponse(content(), content_type="text/plain; charset=utf-8")
