"""Settings of the one-at-a-time example. CACHE_BACKEND chooses where the lock lives."""

import os
import pathlib

BASE_DIR = pathlib.Path(__file__).resolve().parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "for-development-only")
INSTALLED_APPS = ["invoices"]
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Several workers write at the same time. With a write-ahead log they do not disturb readers, and among
# themselves they queue for up to 20 seconds instead of failing with "database is locked"; a transaction
# takes the write lock at BEGIN, because SQLite cannot wait any more once the transaction has read.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE_PATH", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    },
}

CACHE_BACKENDS = {
    # One cache, which all processes share.
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/1"),
        "KEY_PREFIX": "invoices",
    },
    # The same cache, by memcached's protocol.
    "memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": os.environ.get("MEMCACHED_LOCATION", "127.0.0.1:11211"),
        "KEY_PREFIX": "invoices",
    },
    # A cache in the memory of each process, and Django's default when CACHES is not set at all.
    "locmem": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    },
}
CACHES = {"default": CACHE_BACKENDS[os.environ.get("CACHE_BACKEND", "redis")]}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_RESULT_EXPIRES = 3600
# Tasks wait in the broker, and not in one worker's memory, until a process is free for them.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# How long an order cannot be invoiced again. It must be longer than submissions of the same order can
# be apart: a double click, a retry of a client, a task that the broker delivers a second time.
INVOICE_LOCK_SECONDS = 3600
