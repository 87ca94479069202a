"""One-time codes of others: whoever adds, changes or removes one leaves an audit row that says whose."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django_otp.plugins.otp_static.admin import StaticDeviceAdmin
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDeviceAdmin
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport import entries
from passport.admin.audited import AuditedAdmin
from passport.admin_site import actor_of

admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)


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


@admin.register(StaticDevice)
class AuditedStaticDeviceAdmin(AuditedDeviceAdmin, StaticDeviceAdmin):  # type: ignore[misc]  # as above
    pass
