"""URLs of PostgreSQL databases."""

from __future__ import annotations


def database_url(
    driver: str | None,
    *,
    user: str,
    password: str,
    host: str,
    port: int | str,
    database: str,
    option: str = "",
) -> str:
    """Return the URL of a database, with its login.

    `driver` is the Python package by which SQLAlchemy connects: without its name it takes another one from release to
    release, which an image may not have. It is None for programs that speak PostgreSQL's own URLs, such as psql. What
    goes into the URL is written as it is: generated passwords are letters and digits, and a template's placeholders
    stay what they are. `option` is one of the driver's own, such as `sslmode=require`.
    """
    scheme = f"postgresql+{driver}" if driver else "postgresql"
    return f"{scheme}://{user}:{password}@{host}:{port}/{database}" + (f"?{option}" if option else "")
