"""Settings of the job board: one server, whose database 0 is the broker's and 1, 2 and 3 hold the caches."""

import os
import pathlib
from urllib.parse import urlsplit

BASE_DIR = pathlib.Path(__file__).resolve().parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "for-development-only")
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
INSTALLED_APPS = ["django.contrib.sessions", "jobs"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
}]
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The site reads while a worker writes, so whoever comes second waits for the lock, and a writer takes
# it at BEGIN: SQLite cannot wait once it has read.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE_PATH", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    },
}

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")


def database_url(database: int) -> str:
    """The address of one database of the server. A database that REDIS_URL names itself is replaced."""
    return urlsplit(REDIS_URL)._replace(path=f"/{database}").geturl()


def redis_cache(database: int, prefix: str, timeout: int) -> dict[str, object]:
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": database_url(database),
        "KEY_PREFIX": prefix,
        "TIMEOUT": timeout,
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 5, "SOCKET_TIMEOUT": 5},
    }


# A database for each, because what is lost with it differs: pages are computed again, visitors without
# their session have lost what they saved, and listings cost the board's own database a query.
CACHES = {
    "default": redis_cache(1, "board", timeout=60),
    "sessions": redis_cache(2, "session", timeout=14 * 24 * 3600),
    "jobs": redis_cache(3, "jobs", timeout=15 * 60),
}

SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sessions"

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", database_url(0))
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_RESULT_EXPIRES = 3600
CELERY_TASK_TRACK_STARTED = True
# A worker that starts before the server waits for it.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# Where postings come from, as "name=address name=address". A visitor starts a source by its name: no
# part of a request ever becomes an address. The default is a page of the board's own, to try it out.
SCRAPE_SOURCES = dict(
    source.split("=", 1)
    for source in os.environ.get("SCRAPE_SOURCES", "demo=http://127.0.0.1:8000/demo/").split()
)
# A text file with one proxy a line. Without it the sources are asked directly.
PROXY_LIST_URL = os.environ.get("PROXY_LIST_URL", "")
