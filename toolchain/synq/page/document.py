"""A page as one HTML file: templates filled, the style sheet within, everything escaped."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound
from markupsafe import Markup


class _Templates(BaseLoader):
    """The templates of this package, wherever it is installed."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, None, None]:
        file = files("synq.page") / "templates" / template
        if not file.is_file():
            raise TemplateNotFound(template)
        return file.read_text(), None, None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=_Templates(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "whole": whole,
        "percent": percent,
        "signed": signed,
        "times": times,
        "zip": zip,
    }
    return environment


def render(template: str, **values: Any) -> bytes:
    """A template of this package, filled. Whatever is no `Markup` is escaped."""
    style = (files("synq.page") / "templates" / "page.css").read_text()
    style = re.sub(r"\n\s+", "\n", re.sub(r"/\*.*?\*/\n?", "", style, flags=re.DOTALL))
    text = _environment().get_template(template).render(style=Markup(style), **values)
    return text.encode()


def whole(value: float) -> str:
    """A whole number with commas."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """A share, in percent of three digits at most."""
    return f"{100 * share:.3g} %" if 100 * share < 99.95 else f"{100 * share:.0f} %"


def signed(value: float, form: str = ".2f") -> str:
    """A difference with its sign, as typography has it."""
    return format(value, f"+{form}").replace("-", "−")


def times(text: str) -> str:
    """A text with multiplication signs for the letters that stand for them."""
    return text.replace(" x ", " × ")
