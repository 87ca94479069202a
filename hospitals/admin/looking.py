"""What is only looked at: rows that our own code writes; locations, and connection tests with their steps."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from hospitals.models import ConnectionTest, Location
from passport.admin_site import moment

if TYPE_CHECKING:
    _LocationAdmin = admin.ModelAdmin[Location]
    _ConnectionTestAdmin = admin.ModelAdmin[ConnectionTest]
else:
    _LocationAdmin = _ConnectionTestAdmin = admin.ModelAdmin

# Never by colour alone: a sign and a word.
SIGNS = {"pass": "✓", "fail": "✗", "hint": "!"}


def shown_steps(test: ConnectionTest | None) -> list[dict[str, str]]:
    """The steps of a test with a sign each, and their names as words."""
    steps = test.steps if test else []
    return [{**step, "sign": SIGNS[step["result"]], "label": step["name"].replace("_", " ")} for step in steps]


class ReadOnly:
    """Rows that only our own code writes."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Location)
class LocationAdmin(ReadOnly, _LocationAdmin):
    list_display = ["name", "hospital", "is_retired"]
    list_filter = ["hospital", "is_retired"]
    search_fields = ["name"]
    list_select_related = ["hospital"]


@admin.register(ConnectionTest)
class ConnectionTestAdmin(ReadOnly, _ConnectionTestAdmin):
    when_empty = "No connection was tested yet. A hospital's page has the button."
    change_form_template = "admin/hospitals/connectiontest/change_form.html"
    list_display = ["shown_at", "hospital", "outcome"]
    list_filter = ["hospital", "is_ok"]
    list_select_related = ["hospital"]
    fields = ["hospital", "at", "is_ok"]

    class Media:
        css = {"all": ["passport/hospitals-admin.css"]}

    @admin.display(description="when (UTC)", ordering="at")
    def shown_at(self, test: ConnectionTest) -> str:
        return moment(test.at)

    @admin.display(description="outcome", ordering="is_ok")
    def outcome(self, test: ConnectionTest) -> str:
        if test.is_ok:
            return f"{SIGNS['pass']} passed"
        failed = [step["label"] for step in shown_steps(test) if step["result"] == "fail"]
        return f"{SIGNS['fail']} failed" + (f" at: {', '.join(failed)}" if failed else "")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        test = self.get_object(request, object_id)
        steps = shown_steps(test)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "test": test, "steps": steps}
        )
