"""One-time codes of others: whoever adds, changes or removes one leaves an audit row that says whose."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django_otp.plugins.otp_totp.admin import TOTPDeviceAdmin
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport import entries
from passport.admin.audited import AuditedAdmin
from passport.admin_site import actor_of
from passport.models import RecoveryDevice

admin.site.unregister(TOTPDevice)


class AuditedDeviceAdmin(AuditedAdmin):
    """Also ends the logins of an account that somebody else gave a device: its owner notices."""

    def more_details(self, obj: Any) -> dict[str, object]:
        return {"account": obj.user_id}

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        if obj.user_id != request.user.pk:
            entries.end_all(user=obj.user, actor=actor_of(request), why="admin", now=timezone.now())
        return super().log_addition(request, obj, message)


@admin.register(TOTPDevice)
class AuditedTOTPDeviceAdmin(AuditedDeviceAdmin, TOTPDeviceAdmin):  # type: ignore[misc]  # the package has no types
    pass


@admin.register(RecoveryDevice)
class RecoveryDeviceAdmin(AuditedDeviceAdmin):
    """Who has recovery codes, and how many. The codes are hashes: they can be taken away, and not be given."""

    list_display = ("user", "n_left")
    search_fields = ("user__username",)
    fields = readonly_fields = ("user", "n_left")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request).select_related("user").annotate(n_codes=Count("codes"))
        return found

    @admin.display(description="Codes left")
    def n_left(self, device: Any) -> int:
        return int(device.n_codes)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
