"""Below /api/. Each address with and without the slash at the end: a redirect would lose a POST.

A National ID may be written with slashes of its own.
"""

from django.urls import URLPattern, URLResolver, include, re_path
from drf_spectacular.views import SpectacularAPIView

from passport.api import emergencies, summaries, views
from passport.api.docs import Docs

urlpatterns: list[URLPattern | URLResolver] = [
    re_path(r"^auth/token/?$", views.Token.as_view(), name="api-token"),
    re_path(r"^auth/refresh/?$", views.Refresh.as_view(), name="api-refresh"),
    re_path(r"^auth/logout/?$", views.Logout.as_view(), name="api-logout"),
    re_path(r"^patients/(?P<national_id>.+)/records/?$", views.PatientRecords.as_view(), name="api-patient-records"),
    re_path(
        r"^patients/(?P<national_id>.+)/summary/?$", summaries.PatientSummary.as_view(), name="api-patient-summary"
    ),
    re_path(r"^patients/(?P<national_id>.+)/fhir/?$", summaries.PatientFhir.as_view(), name="api-patient-fhir"),
    re_path(r"^emergencies/?$", emergencies.Emergencies.as_view(), name="api-emergencies"),
    re_path(r"^me/?$", views.OwnProfile.as_view(), name="api-me"),
    re_path(r"^me/records/?$", views.OwnRecords.as_view(), name="api-me-records"),
    re_path(r"^me/summary/?$", summaries.OwnSummary.as_view(), name="api-me-summary"),
    re_path(r"^me/fhir/?$", summaries.OwnFhir.as_view(), name="api-me-fhir"),
    re_path(r"^me/access/?$", views.OwnAccess.as_view(), name="api-me-access"),
    re_path(r"^openmrs-sync/", include("openmrs_sync.api.urls")),
    re_path(r"^schema/?$", SpectacularAPIView.as_view(), name="schema"),
    re_path(r"^docs/?$", Docs.as_view(url_name="schema"), name="api-docs"),
    # Here, not in handler404: under DEBUG Django's own page would answer.
    re_path(r"^", views.nothing, name="api-nothing"),
]
