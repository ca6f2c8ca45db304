"""Settings of the command runner. CACHE_BACKEND chooses what carries the output from process to process."""

import os
import pathlib
import sys
import tempfile

BASE_DIR = pathlib.Path(__file__).resolve().parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "for-development-only")
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
INSTALLED_APPS = ["runner"]
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
}]
TIME_ZONE = "UTC"
USE_TZ = True

# Only the database cache uses it. The page reads while the background process writes, so whoever comes
# second waits for the lock, and a writer takes it at BEGIN: SQLite cannot wait once it has read.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE_PATH", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    },
}

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/1")
MEMCACHED_LOCATION = os.environ.get("MEMCACHED_LOCATION", "127.0.0.1:11211")

# The database and file caches throw entries away beyond 300 unless told otherwise, and a long run has more.
CACHE_BACKENDS = {
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    },
    "django-redis": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
    },
    # With memcached itself a chunk may be 1 MB long at most.
    "memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": MEMCACHED_LOCATION,
    },
    "database": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache_entries",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
    "file": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ.get("CACHE_DIRECTORY", os.path.join(tempfile.gettempdir(), "command-runner-cache")),
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
    # Here to be seen failing: it lives in the memory of one process.
    "locmem": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    },
}
CACHES = {"default": {**CACHE_BACKENDS[os.environ.get("CACHE_BACKEND", "redis")], "KEY_PREFIX": "runner"}}

# A visitor chooses a name from this list and nothing else: no part of a request ever becomes a command.
RUNNER_COMMANDS = {
    "system": ["uname", "-a"],
    "count": [sys.executable, "-u", "-c", "import time\nfor n in range(1, 21): print(n); time.sleep(0.5)"],
    "flood": [sys.executable, "-c", "print('\\n'.join(map(str, range(10**18, 10**18 + 1_000_000))))"],
    "fail": [sys.executable, "-c", "import sys; sys.exit('This goes to stderr.')"],
}

# Output goes to the cache in chunks: when so many bytes have gathered, or when the oldest of them is so many seconds
# old.
RUNNER_CHUNK_BYTES = int(os.environ.get("RUNNER_CHUNK_BYTES", 256 * 1024))
RUNNER_CHUNK_SECONDS = float(os.environ.get("RUNNER_CHUNK_SECONDS", 0.25))

# How long a run can be looked at after its last output.
RUNNER_KEEP_SECONDS = 3600
