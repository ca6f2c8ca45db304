from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import cache_page
from django.views.decorators.http import require_GET, require_POST

from jobs import board_cache, tasks
from jobs.models import Job

JOBS_ON_A_PAGE = 20


@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    location = request.GET.get("location", "")
    page = request.GET.get("page", "1")
    # Both become part of a key, so a visitor must not be able to fill the cache with keys of any length.
    if len(location) > 100 or not re.fullmatch("[1-9][0-9]{0,2}", page):
        raise Http404("There is no such page.")

    def query() -> list[dict[str, Any]]:
        jobs = Job.objects.filter(location=location) if location else Job.objects.all()
        first = (int(page) - 1) * JOBS_ON_A_PAGE
        return list(jobs.values("id", "url", "title", "company", "location")[first:first + JOBS_ON_A_PAGE])

    return render(request, "jobs/listing.html", {
        "jobs": board_cache.listing(location, int(page), query),
        "saved": request.session.get("saved", []),
        "location": location,
    })


@require_POST
def save(request: HttpRequest, job_id: int) -> HttpResponse:
    """Puts a posting on the visitor's list, which lives in the session."""
    job = get_object_or_404(Job, id=job_id)
    saved = request.session.get("saved", [])
    if job.id not in saved:
        request.session["saved"] = [*saved, job.id]
    return redirect("saved")


@require_GET
def saved(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/saved.html", {"jobs": Job.objects.filter(id__in=request.session.get("saved", []))})


# The same for every visitor, so the whole page is kept, in the cache `default`.
@require_GET
@cache_page(60)
def statistics(request: HttpRequest) -> HttpResponse:
    locations = Job.objects.values("location").annotate(jobs=Count("id")).order_by("-jobs", "location")
    return render(request, "jobs/statistics.html", {"locations": locations})


@require_GET
def sources(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/sources.html", {"statuses": board_cache.statuses(list(settings.SCRAPE_SOURCES))})


@require_POST
def scrape(request: HttpRequest, source: str) -> HttpResponse:
    if source not in settings.SCRAPE_SOURCES:
        raise Http404("There is no such source.")
    tasks.scrape.delay(source)
    return redirect("sources")


@require_GET
def demo(request: HttpRequest) -> HttpResponse:
    """A page as another site might have it, so that there is something to scrape."""
    return render(request, "jobs/demo.html")
