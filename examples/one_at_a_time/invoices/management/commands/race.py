from __future__ import annotations

import argparse
import secrets

from celery import group
from django.core.management.base import BaseCommand

from invoices import start_line
from invoices.models import Invoice
from invoices.tasks import create_invoice


class Command(BaseCommand):
    help = "Submits one order several times at once, and counts its invoices."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--submissions", type=int, default=10, help="tasks for the same order (%(default)s)")
        parser.add_argument("--rounds", type=int, default=1, help="orders, one after the other (%(default)s)")
        parser.add_argument("--processes", type=int, default=4,
                            help="processes of the worker, its -c; so many tasks start at the same moment "
                                 "(%(default)s)")

    def handle(self, *args: object, submissions: int, rounds: int, processes: int, **options: object) -> None:
        runners = min(submissions, processes)
        for number in range(1, rounds + 1):
            order = f"order-{secrets.token_hex(6)}"
            tasks = group(create_invoice.s(order).set(headers=start_line.headers(order, runners))
                          for _ in range(submissions))
            results = tasks.apply_async().get(timeout=2 * start_line.PATIENCE_SECONDS, interval=0.02)
            invoices = Invoice.objects.filter(order=order)
            made = sorted(result for result in results if result is not None)
            if made != sorted(invoices.values_list("pk", flat=True)):
                raise AssertionError(f"{order}: the tasks say {made}, the database {list(invoices)}")
            processes_seen = list(invoices.values_list("process", flat=True))
            self.stdout.write(f"Round {number}: {submissions} submissions, {runners} of them at the same moment: "
                              f"{len(made)} invoice(s), from process(es) {processes_seen}")
