"""Addresses of the pages. They carry our own ids, never a National ID. Included by `passport.urls` at the root.

Each stands with and without the slash at the end, as in the API: a redirect would lose what a form posts.
"""

from collections.abc import Callable

from django.http import HttpResponseBase
from django.urls import URLPattern, path

from passport.views import language, login, patients, record


def _both(route: str, view: Callable[..., HttpResponseBase], name: str) -> list[URLPattern]:
    return [path(f"{route}/", view, name=name), path(route, view)]


urlpatterns = [
    path("", login.home, name="home"),
    *_both("log-in/code", login.code, "log_in_code"),
    *_both("log-in/set-up", login.enrol, "log_in_enrol"),
    *_both("log-out", login.log_out, "log_out"),
    *_both("logged-out", login.logged_out, "logged_out"),
    *_both("language", language.choose_language, "choose_language"),
    *_both("history", record.own_history, "own_history"),
    *_both("records/<str:key>", record.own_record, "own_record"),
    *_both("who-looked", record.who_looked, "who_looked"),
    *_both("changed", record.own_version, "own_version"),
    *_both("patients", patients.find_patient, "find_patient"),
    *_both("patients/<uuid:patient_id>", record.patient_overview, "patient_overview"),
    *_both("patients/<uuid:patient_id>/history", record.patient_history, "patient_history"),
    *_both("patients/<uuid:patient_id>/records/<str:key>", record.patient_record, "patient_record"),
    *_both("patients/<uuid:patient_id>/changed", record.patient_version, "patient_version"),
]
