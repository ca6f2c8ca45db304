"""Everything that differs between a laptop and production, read from the environment (`SHOP_*`) once."""

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One server, one database for each role: broker, cache and task results stay out of each other's way."""

    model_config = SettingsConfigDict(env_prefix="SHOP_")

    broker_url: str = "redis://127.0.0.1:6379/0"
    cache_url: str = "redis://127.0.0.1:6379/1"
    result_url: str = "redis://127.0.0.1:6379/3"

    cache_prefix: str = "shop"
    cache_ttl: int = 300  # seconds, for entries that are put without a TTL of their own
    cache_serializer: Literal["json", "pickle"] = "json"
    cache_timeout: float = 0.5  # seconds that a request is willing to wait for the cache

    result_ttl: int = 3600  # seconds for which the result of a task can be asked for


settings = Settings()
