"""Every address. Other apps are named by string: imports point the other way."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from passport import health

urlpatterns: list[URLPattern | URLResolver] = [
    # One door for everyone: Django's own log-in page would let an admin in without the one-time code.
    path("admin/login/", RedirectView.as_view(pattern_name="home", query_string=True)),
    # And one place for a new password, which ends the other logins and is written down.
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_password")),
    path("admin/password_change/done/", RedirectView.as_view(pattern_name="account")),
    path("admin/", admin.site.urls),
    # Browsers ask for it everywhere. Lazy: the name with its hash is known only once the static files are collected.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("passport/favicon.svg"))),
    path("api/", include("passport.api.urls")),
    re_path(r"^health/live/?$", health.live, name="health-live"),
    re_path(r"^health/ready/?$", health.ready, name="health-ready"),
    re_path(r"^metrics/?$", health.metrics, name="metrics"),
    path("", include("passport.page_urls")),
]

handler400 = "passport.api.problems.bad_request"
handler404 = "passport.api.problems.not_found"
handler500 = "passport.api.problems.server_error"
