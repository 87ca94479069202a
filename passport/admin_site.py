"""The admin's own door is ours: who owes a one-time code, or is no admin any more, stays outside. And its words."""

import datetime as dt
from typing import Any, cast
from uuid import UUID

from django.contrib.admin import AdminSite
from django.db.models.options import Options
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.text import capfirst

from passport.models import User
from passport.views.session import account_of

#: The start page's boxes, in this order: app → what people call it.
BOXES = {
    "hospitals": "Hospitals",
    "openmrs_sync": "Sync",
    "passport": "Patients and accounts",
    "otp_totp": "One-time codes",
}
#: Models that stand in another box than their app's.
BOX_OF_MODEL = {"Link": "openmrs_sync", "RecoveryDevice": "otp_totp"}
#: Where the name in the code is not the word people use.
NAMES = {
    "AccessGrant": "Permissions",
    "AuditEvent": "Audit",
    "CorrectionRequest": "Corrections asked for",
    "Doctor": "Doctors in hospitals' files",
    "EmergencyAccess": "Emergencies",
    "Inspection": "Dry runs and counts",
    "Link": "Matches",
    "ReceiptDay": "Certificates",
    "RecoveryDevice": "Recovery codes",
    "Proxy": "Guardians and carers",
    "SyncRun": "Runs",
    "TOTPDevice": "Authenticator apps",
    "User": "Accounts",
}


class PassportAdminSite(AdminSite):
    site_title = site_header = "Patient Passport"
    index_title = "Administration"
    empty_value_display = "–"  # as `moment` and `short_id` below

    def has_permission(self, request: HttpRequest) -> bool:
        account = account_of(request)
        return account is not None and account.is_admin and super().has_permission(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The page is told the time, as everything that reckons with it is."""
        return super().index(request, {"at": timezone.now(), **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """By purpose, not by package. Every model has its place; one that nobody named stays in its app's own box."""
        apps = {app["app_label"]: app for app in super().get_app_list(request)}
        boxes = {label: {**apps[label], "models": []} for label in [*BOXES, *apps] if label in apps}
        for label, app in apps.items():
            for model in app["models"]:
                box = BOX_OF_MODEL.get(model["object_name"], label)
                model["name"] = NAMES.get(model["object_name"], model["name"])
                boxes[box if box in boxes else label]["models"].append(model)
        for label, box in boxes.items():
            box["name"] = BOXES.get(label, box["name"])
            box["models"].sort(key=lambda model: model["name"])
        if app_label is None:
            return [box for box in boxes.values() if box["models"]]
        return [box for box in boxes.values() if box["models"] and app_label in _labels(box)][:1]


def box_of(opts: "Options[Any]") -> str:
    """The name of the box that a model stands in."""
    label = BOX_OF_MODEL.get(str(opts.object_name), opts.app_label)
    return BOXES.get(label, str(opts.app_config.verbose_name))


def name_of(opts: "Options[Any]") -> str:
    """What people call the rows of a model."""
    return NAMES.get(str(opts.object_name), capfirst(str(opts.verbose_name_plural)))


def _labels(box: dict[str, Any]) -> set[str]:
    """The apps whose page this box is: its own, and those that gave it all they had."""
    own = box["app_label"]
    return {own, *(label for label in (m["model"]._meta.app_label for m in box["models"]) if label not in BOXES)}


def actor_of(request: HttpRequest) -> User:
    """The admin who asks: nobody else comes through the door."""
    return cast(User, request.user)


def moment(at: dt.datetime | None) -> str:
    """As the lists show it, under a heading that says UTC."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "–"


def short_id(key: UUID | None) -> str:
    """Enough of an id to tell two apart by eye."""
    return str(key)[:8] if key else "–"
