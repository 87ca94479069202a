"""What Django writes to the admin's own history goes to the audit chain too."""

from typing import Any
from uuid import UUID

from django.contrib.admin.options import ModelAdmin
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from passport.admin.widgets import NamedDateTime
from passport.admin_site import actor_of
from passport.audit import record_event


# type-arg, here and below: Django's classes take no argument at run time.
class ShownLookups(ModelAdmin):  # type: ignore[type-arg]
    """A list is narrowed by the columns that it shows or filters by, and by no other.

    Django lets an address name any column of the model's own. So a secret, or what a patient chose, could be read
    letter by letter: `?key__startswith=a` has a row or has none.
    """

    formfield_overrides = {DateTimeField: {"widget": NamedDateTime}}

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        filters = [one[0] if isinstance(one, tuple | list) else one for one in self.list_filter]
        # A filter of ours is asked by its own name, which is no column's.
        named = (getattr(one, "parameter_name", one) for one in filters)
        shown = {"id", "pk", *(name for name in (*named, *self.list_display) if isinstance(name, str))}
        if lookup.partition("__")[0] not in shown:
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]  # as UserAdmin has it


class AuditedAdmin(ShownLookups):
    """Writes to the audit chain what Django writes to the admin's own history, in the same transaction."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "added", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "changed", message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            self._record(request, obj, "deleted", None)
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, obj: Model, what: str, message: Any) -> None:
        record_event(
            action=f"{obj._meta.model_name}_{what}_in_admin",
            actor=actor_of(request),
            now=timezone.now(),
            patient_id=self.patient_id_of(obj),
            details={"id": str(obj.pk), "fields": changed_fields(message), **self.more_details(obj)},
        )

    def more_details(self, obj: Any) -> dict[str, object]:
        """Ids that belong into the audit row beside the row's own."""
        return {}

    def patient_id_of(self, obj: Any) -> UUID | None:
        return getattr(obj, "patient_id", None)


def changed_fields(message: Any) -> list[str]:
    """Names of the fields that changed; never what they hold."""
    parts = message if isinstance(message, list) else []
    return [str(name) for part in parts for name in part.get("changed", {}).get("fields", [])]
