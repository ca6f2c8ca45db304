from __future__ import annotations

import argparse

import redis
from django.conf import settings
from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError
from django_redis import get_redis_connection

# What `--clear` empties when no cache is named. Clearing the sessions would lose what visitors have saved.
CLEARED_BY_DEFAULT = ["default", "jobs"]


def same_database(one: redis.Redis, other: redis.Redis) -> bool:
    """Whether two clients talk to one database. The server is asked, because it may have several names."""
    return (database(one) == database(other)
            and one.info("server")["run_id"] == other.info("server")["run_id"])


def database(client: redis.Redis) -> int:
    return client.connection_pool.connection_kwargs.get("db") or 0


class Command(BaseCommand):
    help = "Shows how the server behind the caches is doing, and clears caches."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--info", action="store_true", help="show everything that the server's INFO says")
        parser.add_argument("--clear", nargs="*", metavar="CACHE", choices=list(settings.CACHES),
                            help=f"empty these caches (without names: {', '.join(CLEARED_BY_DEFAULT)})")

    def handle(self, *args: object, info: bool, clear: list[str] | None, **options: object) -> None:
        try:
            if clear is not None:
                self.clear(clear or CLEARED_BY_DEFAULT)
            elif info:
                self.show_info()
            else:
                self.show_figures()
        except redis.ResponseError as error:
            raise CommandError(f"The server at {settings.REDIS_URL} refused it: {error}") from error
        except redis.RedisError as error:
            raise CommandError(f"The server at {settings.REDIS_URL} did not answer: {error}") from error

    def show_figures(self) -> None:
        info = get_redis_connection("default").info()
        hits, misses = info["keyspace_hits"], info["keyspace_misses"]
        rate = f"{hits / (hits + misses):.1%}" if hits + misses else "nothing was read yet"
        self.line("Version", f"{info['redis_version']} on {info['os']}, process {info['process_id']}")
        self.line("Uptime", f"{info['uptime_in_seconds']} s")
        self.line("Hit rate", f"{rate} ({hits} hits, {misses} misses)")
        self.line("Memory", f"{info['used_memory_human']} (at most {info['used_memory_peak_human']}, "
                            f"fragmentation {info['mem_fragmentation_ratio']})")
        self.line("Connections", f"{info['connected_clients']} now, {info['total_connections_received']} in all")
        self.line("Commands", info["total_commands_processed"])
        for alias in settings.CACHES:
            index = database(get_redis_connection(alias))
            # INFO leaves out an empty database.
            counts = info.get(f"db{index}", {"keys": 0, "expires": 0})
            self.line(f"Keys in {alias}",
                      f"{counts['keys']}, {counts['expires']} of them with a timeout (database {index})")

    def show_info(self) -> None:
        for name, value in sorted(get_redis_connection("default").info("all").items()):
            self.line(name, value)

    def clear(self, aliases: list[str]) -> None:
        """Deletes what the caches hold, key by key, and no key of anybody else: FLUSHDB would take those of the database's other
        users too, and is refused where a database is protected from it. All caches are looked at before the first one is emptied."""
        clients = {alias: get_redis_connection(alias) for alias in aliases}
        if settings.CELERY_BROKER_URL.startswith("redis"):
            with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
                for alias, client in clients.items():
                    if same_database(client, broker):
                        raise CommandError(
                            f"The cache {alias} shares database {database(client)} with Celery's broker, "
                            "whose queues would be lost. Nothing was cleared.")
        for alias, client in clients.items():
            keys = caches[alias].delete_pattern("*", itersize=1000)
            self.stdout.write(f"Cleared {alias} (database {database(client)}): {keys} keys.")

    def line(self, name: str, value: object) -> None:
        self.stdout.write(f"{name + ':':<32} {value}")
