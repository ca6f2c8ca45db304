"""A small shop: products behind a cache, reports and notifications behind a queue.

    uvicorn fastapi_cache.app:app
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import celery.exceptions
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError
from pydantic import BaseModel, Field
from redis import RedisError

from .catalog import Catalog
from .tasks import cache, celery as queue, notify, report

app = FastAPI(title="Shop")
catalog = Catalog()


class Price(BaseModel):
    price: Annotated[float, Field(ge=0)]


class ReportOrder(BaseModel):
    title: str
    countdown: float | None = None  # seconds from now
    eta: datetime.datetime | None = None  # with a time zone


class Notification(BaseModel):
    address: str
    failures: int = 0


@app.exception_handler(OperationalError)
@app.exception_handler(RedisError)
def queue_unavailable(_: Request, error: Exception) -> JSONResponse:
    """Only the queue's errors come here: those of the cache never leave the facade."""
    return JSONResponse({"detail": "the task queue is not available"}, status_code=503)


# Cache-aside: read through the cache, write to the catalog, then invalidate.

@app.get("/products/{product_id}")
def read_product(product_id: int) -> dict[str, Any]:
    # That a product does not exist is cached as well: None is a value like any other.
    product = cache.tags("products").remember(f"product:{product_id}", 60, lambda: catalog.find(product_id))
    if product is None:
        raise HTTPException(404, "no such product")
    return product


@app.get("/products")
def search_products(search: str = "") -> list[dict[str, Any]]:
    return cache.tags("products", "searches").remember(f"search:{search}", 60, lambda: catalog.search(search))


@app.put("/products/{product_id}/price")
def reprice_product(product_id: int, change: Price) -> dict[str, Any]:
    if not catalog.reprice(product_id, change.price):
        raise HTTPException(404, "no such product")
    cache.tags("products").flush()  # the product itself, and every search that may have listed it
    return read_product(product_id)


@app.post("/products/{product_id}/visits")
def count_visit(product_id: int) -> dict[str, int | None]:
    return {"visits": cache.increment(f"visits:{product_id}")}


@app.delete("/cache", status_code=204)
def flush_cache() -> None:
    cache.flush()


@app.get("/statistics")
def statistics() -> dict[str, int]:
    return {"catalog_queries": catalog.queries}


# Tasks: hand over, answer at once, ask for the result later.

@app.post("/reports", status_code=202)
def order_report(order: ReportOrder) -> dict[str, str]:
    arguments = (order.title, [product["price"] for product in catalog.search("")])
    if order.countdown is None and order.eta is None:
        result = report.delay(*arguments)
    else:
        result = report.apply_async(arguments, countdown=order.countdown, eta=order.eta)
    return {"task": result.id}


@app.post("/reports/now")
def make_report(order: ReportOrder) -> dict[str, Any]:
    result = report.delay(order.title, [product["price"] for product in catalog.search("")])
    try:
        return result.get(timeout=20)
    except celery.exceptions.TimeoutError:
        raise HTTPException(504, "no worker has finished the report in time") from None


@app.get("/reports/{title}")
def read_report(title: str) -> dict[str, Any]:
    summary = cache.tags("reports").get(title)
    if summary is None:
        raise HTTPException(404, "no such report")
    return summary


@app.post("/notifications", status_code=202)
def send_notification(notification: Notification) -> dict[str, str]:
    return {"task": notify.delay(notification.address, notification.failures).id}


@app.get("/tasks/{task_id}")
def read_task(task_id: str) -> dict[str, Any]:
    result = queue.AsyncResult(task_id)
    return {"state": result.state, "result": result.result if result.successful() else None}
