from __future__ import annotations

import os

from celery import shared_task
from django.conf import settings
from django.core.cache import cache

from invoices.models import Invoice


@shared_task
def create_invoice(order: str) -> int | None:
    """Creates the invoice of an order, and returns its number; None when another submission does so."""
    lock = f"lock:{order}"
    # `add` sets a key that is not there and says whether it did, in one step that only one caller can
    # win. `get` followed by `set` would leave a gap, in which all of them find the key missing.
    if not cache.add(lock, os.getpid(), settings.INVOICE_LOCK_SECONDS):
        return None
    try:
        return Invoice.objects.create(order=order, process=os.getpid()).pk
    except Exception:
        # Only a failed attempt opens the lock, for the next one. After a success it stays shut: it does
        # not stand for "somebody is at it" but for "this is done", and expires by itself.
        cache.delete(lock)
        raise
