# Loaded with Django, so that `delay` on a shared task finds the broker.
from config.celery import app as celery

__all__ = ["celery"]
