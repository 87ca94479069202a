"""Below /api/openmrs-sync/. Each address with and without the slash at the end: a redirect would lose a POST.

A National ID may be written with slashes of its own.
"""

from django.urls import URLPattern, re_path

from openmrs_sync.api import views

urlpatterns: list[URLPattern] = [
    re_path(r"^initialize/?$", views.Initialize.as_view(), name="openmrs-sync-initialize"),
    re_path(r"^start/?$", views.Start.as_view(), name="openmrs-sync-start"),
    re_path(r"^stop/?$", views.Stop.as_view(), name="openmrs-sync-stop"),
    re_path(r"^sync-all/?$", views.SyncAll.as_view(), name="openmrs-sync-all"),
    re_path(r"^sync-patient/(?P<national_id>.+?)/?$", views.SyncPatient.as_view(), name="openmrs-sync-patient"),
    re_path(r"^status/?$", views.Status.as_view(), name="openmrs-sync-status"),
    re_path(r"^runs/?$", views.Runs.as_view(), name="openmrs-sync-runs"),
    re_path(r"^runs/(?P<run_id>[^/]+)/?$", views.Run.as_view(), name="openmrs-sync-run"),
]
