"""Lists of the admin: their plain names, and rows that become cards whose lines say what they are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import template
from django.db.models.options import Options
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from passport import admin_site

register = template.Library()


@register.filter
def list_name(opts: "Options[Any]") -> str:
    return admin_site.name_of(opts)


@register.filter
def box_name(opts: "Options[Any]") -> str:
    return admin_site.box_of(opts)


@register.filter
def labelled(cells: Iterable[str], headers: Sequence[Mapping[str, Any]]) -> list[SafeString]:
    """The cells of a row as Django's admin renders them, each carrying its column's heading as `data-label`."""
    return [_labelled(cell, str(header["text"])) for cell, header in zip(cells, headers, strict=False)]


def _labelled(cell: str, heading: str) -> SafeString:
    if 'class="action-checkbox"' in cell:  # its heading is a tick box itself
        return mark_safe(cell)  # noqa: S308 - rendered and escaped by Django, here and below
    opening, rest = mark_safe(cell[:3]), mark_safe(cell[3:])  # noqa: S308
    return format_html('{} data-label="{}"{}', opening, heading[:1].upper() + heading[1:], rest)
