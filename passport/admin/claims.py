"""Doctors as the hospitals' databases name them, and the accounts that they are."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from passport.access import NOBODY, AccessRefused, claims
from passport.admin.audited import ShownLookups
from passport.admin_site import actor_of, moment
from passport.models import Doctor, User
from passport.models.accounts import Role


class ClaimForm(ActionForm):
    account = forms.ModelChoiceField(
        queryset=User.objects.none(), required=False, label="Doctor's account", empty_label="choose for a claim"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        doctors = User.objects.filter(role=Role.DOCTOR, is_active=True).order_by("username")
        self.fields["account"].queryset = doctors  # type: ignore[attr-defined]


class ClaimedFilter(admin.SimpleListFilter):
    title = "claim"
    parameter_name = "claim"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "placeholders"), ("yes", "claimed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(user__isnull=self.value() == "no") if self.value() else queryset


@admin.register(Doctor)
class DoctorAdmin(ShownLookups):
    """The rows come from the hospitals. Which account one is, is decided by the two actions alone."""

    action_form = ClaimForm
    actions = ("claim", "undo_claim")
    list_display = ("name", "hospital", "user", "provider_uuid", "since")
    list_select_related = ("hospital", "user")
    list_filter = (ClaimedFilter, "hospital")
    search_fields = ("name", "=provider_uuid", "user__username")
    ordering = ("name", "pk")
    show_full_result_count = False

    @admin.display(description="first seen (UTC)", ordering="created_at")
    def since(self, row: Doctor) -> str:
        return moment(row.created_at)

    @admin.action(description="Claim for the account: what these rows signed, it may read", permissions=["view"])
    def claim(self, request: HttpRequest, queryset: QuerySet[Doctor]) -> None:
        account = User.objects.filter(pk=request.POST.get("account") or NOBODY).first()
        if account is None:
            self.message_user(request, "Choose the doctor's account beside the action.", messages.ERROR)
            return
        try:
            n_new = claims.claim(rows=list(queryset), account=account, actor=actor_of(request), now=timezone.now())
        except AccessRefused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        else:
            self.message_user(request, f"{n_new} claimed.")

    @admin.action(description="Undo the claim: make them placeholders again", permissions=["view"])
    def undo_claim(self, request: HttpRequest, queryset: QuerySet[Doctor]) -> None:
        actor, now = actor_of(request), timezone.now()
        n_undone = sum(claims.undo_claim(row=row, actor=actor, now=now) for row in queryset)
        self.message_user(request, f"{n_undone} undone.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
