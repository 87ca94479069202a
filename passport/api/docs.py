"""Swagger UI under our strict CSP: its script is an answer of its own, and it brings no inline style."""

from drf_spectacular.views import SpectacularSwaggerSplitView


class Docs(SpectacularSwaggerSplitView):
    authentication_classes = ()
    template_name = "passport/api_docs.html"
