"""The audit chain, to read."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from passport import upward
from passport.admin_site import short_id
from passport.models import AuditEvent, User

#: Names of models as they stand in actions → as people write them.
MODEL_WORDS = {"placeholdernumber": "placeholder number", "accessgrant": "access grant"}


@admin.register(AuditEvent)
class AuditAdmin(ModelAdmin):  # type: ignore[type-arg]
    """To read. The database refuses changes too."""

    list_display = ("seq", "shown_at", "what", "who", "whose", "where", "why")
    list_display_links = ("seq",)
    search_fields = ("^action", "=patient_id", "=actor_id")
    search_help_text = "Beginning of an action, or the whole id of a patient or account."
    ordering = ("-seq",)
    show_full_result_count = False
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """With the names of accounts and hospitals that are still there: the chain itself holds ids alone."""
        account = User.objects.filter(pk=OuterRef("actor_id")).values("username")
        hospital = upward.hospitals().filter(pk=OuterRef("hospital_id")).values("name")
        found: QuerySet[AuditEvent] = super().get_queryset(request)
        return found.annotate(actor_name=Subquery(account[:1]), hospital_name=Subquery(hospital[:1]))

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        # The list shows "login failed", the chain holds login_failed.
        return super().get_search_results(request, queryset, "_".join(search_term.split()))

    @admin.display(description="when (UTC)", ordering="seq")
    def shown_at(self, event: AuditEvent) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="what", ordering="action")
    def what(self, event: AuditEvent) -> str:
        return " ".join(MODEL_WORDS.get(word, word) for word in event.action.split("_"))

    @admin.display(description="why")
    def why(self, event: AuditEvent) -> str:
        return event.basis.replace("_", " ") or "–"

    @admin.display(description="who")
    def who(self, event: AuditEvent) -> str:
        name = event.actor_name or short_id(event.actor_id)  # type: ignore[attr-defined]  # annotated above
        return f"{name} ({event.actor_role})" if event.actor_id else event.actor_role

    @admin.display(description="patient")
    def whose(self, event: AuditEvent) -> str:
        return short_id(event.patient_id)

    @admin.display(description="hospital")
    def where(self, event: AuditEvent) -> str:
        return event.hospital_name or short_id(event.hospital_id)  # type: ignore[attr-defined]  # annotated above

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
