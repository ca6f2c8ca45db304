from __future__ import annotations

import os
import secrets

import django
from django.core.cache import cache
from django.core.management.base import BaseCommand, CommandError

from runner.background import processes


def set_in_child(key: str) -> None:
    django.setup()
    cache.set(key, os.getpid(), 60)


class Command(BaseCommand):
    help = "Checks that what a background process writes to the cache can be read in this process."

    def handle(self, *args: object, **options: object) -> None:
        key = f"check:{secrets.token_urlsafe(12)}"
        child = processes.Process(target=set_in_child, args=(key,))
        child.start()
        child.join()
        if child.exitcode != 0:
            raise CommandError(f"The child process failed with exit code {child.exitcode}.")
        seen = cache.get(key)
        cache.delete(key)
        if seen != child.pid:
            raise CommandError(f"The child's cache.set is not visible to its parent, which reads {seen!r}. "
                               "Each process has a cache of its own: the pages would wait for ever.")
        self.stdout.write(f"The child {child.pid} set its process id, and its parent {os.getpid()} reads {seen}.")
