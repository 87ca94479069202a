"""Alerts, to read: what is so now on top, with what to do; then what is over."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from hospitals.admin import ReadOnly
from openmrs_sync import alerts
from openmrs_sync.models import Alert
from passport.admin_site import moment

if TYPE_CHECKING:
    _AlertAdmin = admin.ModelAdmin[Alert]
else:
    _AlertAdmin = admin.ModelAdmin


@admin.register(Alert)
class AlertAdmin(ReadOnly, _AlertAdmin):
    when_empty = "No alert was ever sent: nothing has gone wrong long enough."
    list_display = ("what", "began", "ended", "to_do", "told")
    list_display_links = None
    list_filter = ("kind", "hospital")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        open_first = F("ended_at").desc(nulls_first=True)
        return super().get_queryset(request).select_related("hospital").order_by(open_first, "-began_at")

    @admin.display(description="what")
    def what(self, alert: Alert) -> str:
        return alerts.title(alert)

    @admin.display(description="began (UTC)")
    def began(self, alert: Alert) -> str:
        return moment(alert.began_at)

    @admin.display(description="over (UTC)")
    def ended(self, alert: Alert) -> str:
        return moment(alert.ended_at) if alert.ended_at else "not yet"

    @admin.display(description="what to do")
    def to_do(self, alert: Alert) -> str:
        return "" if alert.ended_at else alerts.WORDS[Alert.Kind(alert.kind)][1]

    @admin.display(description="told (UTC)")
    def told(self, alert: Alert) -> str:
        if alert.told_at:
            return moment(alert.told_at)
        return f"not yet, {alert.n_tries} tries failed" if alert.n_tries else "nowhere"
