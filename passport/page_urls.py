"""Addresses of the pages. They carry our own ids, never a National ID. Included by `passport.urls` at the root.

Each stands with and without the slash at the end, as in the API: a redirect would lose what a form posts.
"""

from collections.abc import Callable

from django.http import HttpResponseBase
from django.urls import URLPattern, path, register_converter

from passport.views import (
    account,
    claim,
    consultation,
    corrections,
    downloads,
    emergency,
    hidden,
    language,
    login,
    looks,
    medicines,
    notices,
    patients,
    permissions,
    printing,
    record,
    results,
    shares,
)


def _both(route: str, view: Callable[..., HttpResponseBase], name: str) -> list[URLPattern]:
    return [path(f"{route}/", view, name=name), path(route, view)]


def _of_a_record(route: str, view: Callable[..., HttpResponseBase], name: str) -> list[URLPattern]:
    """One's own, and the same page of a patient whom one may see: the view is given `patient_id` for the second."""
    return [*_both(route, view, f"own_{name}"), *_both(f"patients/<uuid:patient_id>/{route}", view, f"patient_{name}")]


class FileKind:
    regex = "csv|json"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class ShareToken:
    """Of a shared link: 32 bytes in base64url."""

    regex = "[A-Za-z0-9_-]{43}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class NoticeToken(ShareToken):
    """At the end of a notice: an id and its signature in base64url."""

    regex = "[A-Za-z0-9_-]{38}"


register_converter(NoticeToken, "notice_token")
register_converter(FileKind, "file_kind")
register_converter(ShareToken, "share_token")

urlpatterns = [
    path("", login.home, name="home"),
    *_both("log-in/code", login.code, "log_in_code"),
    *_both("log-in/set-up", login.enrol, "log_in_enrol"),
    *_both("log-out", login.log_out, "log_out"),
    *_both("logged-out", login.logged_out, "logged_out"),
    *_both("claim", claim.claim, "claim"),
    *_both("claim/password", claim.claim_password, "claim_password"),
    *_both("forgotten", claim.forgotten, "forgotten"),
    *_both("reset", claim.reset_password, "reset_password"),
    *_both("reset/<uuid:account_id>/<str:token>", claim.reset_link, "reset_link"),
    *_both("account", account.account, "account"),
    *_both("account/password", account.change_password, "account_password"),
    *_both("account/codes", account.set_up_codes, "account_codes"),
    *_both("account/codes/renew", account.renew_codes, "account_codes_renew"),
    *_both("account/logins", account.logins, "account_logins"),
    *_both("account/contact", account.contact, "account_contact"),
    *_both("account/notices", notices.choose_notices, "account_notices"),
    *_both("n/<notice_token:notice>", notices.stop_notices, "stop_notices"),
    *_both("account/address/<str:secret>", account.prove_address, "account_address"),
    *_both("account/consent", account.consent, "account_consent"),
    *_both("language", language.choose_language, "choose_language"),
    *_of_a_record("history", record.history_page, "history"),
    *_of_a_record("records/<str:key>", record.record_page, "record"),
    *_of_a_record("records/<str:key>/correction", corrections.ask, "correction"),
    *_of_a_record("corrections", corrections.corrections, "corrections"),
    *_of_a_record("corrections/<uuid:request_id>/withdraw", corrections.withdraw, "withdraw_correction"),
    *_of_a_record("results", results.results, "results"),
    *_of_a_record("results/<str:key>", results.trend, "trend"),
    *_of_a_record("medicines", medicines.medicines, "medicines"),
    *_of_a_record("changed", record.version, "version"),
    *_both("who-looked", looks.who_looked, "who_looked"),
    path("who-looked.<file_kind:kind>", looks.who_looked_file, name="who_looked_file"),
    *_both("permissions", permissions.permissions, "permissions"),
    *_both("permissions/let-in", permissions.let_in, "let_in"),
    *_both("permissions/let-in/<uuid:grant_id>/end", permissions.end_grant, "end_grant"),
    *_both("permissions/invite", permissions.invite, "invite"),
    *_both("permissions/carers/<uuid:proxy_id>", permissions.choose_sensitive, "choose_sensitive"),
    *_both("permissions/carers/<uuid:proxy_id>/end", permissions.end_proxy, "end_proxy"),
    *_both("permissions/emergencies/<uuid:emergency_id>/seen", permissions.emergency_seen, "emergency_seen"),
    *_both("hidden", hidden.hidden, "hidden"),
    *_both("hidden/<uuid:hide_id>/end", hidden.show_again, "show_again"),
    *_both("share", shares.share, "share"),
    *_both("share/<uuid:share_id>", shares.share_made, "share_made"),
    *_both("share/<uuid:share_id>/end", shares.end_share, "end_share"),
    *_both("print", printing.print_record, "print_record"),
    *_both("download", downloads.download, "download"),
    *_both("download/<uuid:download_id>", downloads.download_file, "download_file"),
    *_both("download/changed", downloads.download_version, "download_version"),
    *_both("emergency-card", printing.emergency_card, "emergency_card"),
    *_both("s/<share_token:token>", shares.shared_page, "shared_page"),
    *_both("s/<share_token:token>/manifest", shares.shared_manifest, "shared_manifest"),
    *_both("s/<share_token:token>/file/<str:ticket>", shares.shared_file, "shared_file"),
    *_both("people", permissions.people, "people"),
    *_both("emergency", emergency.emergency, "emergency"),
    *_both("emergency/<uuid:emergency_id>", emergency.emergency_opened, "emergency_opened"),
    *_both("emergency/<uuid:emergency_id>/record", emergency.emergency_record, "emergency_record"),
    *_both("patients", patients.find_patient, "find_patient"),
    *_both("patients/<uuid:patient_id>", record.overview, "patient_overview"),
    *_both("patients/<uuid:patient_id>/consultation", consultation.consultation, "patient_consultation"),
    *_both("patients/<uuid:patient_id>/consultation/ask", consultation.ask_hospitals, "patient_ask_hospitals"),
    *_both(
        "patients/<uuid:patient_id>/consultation/changed",
        consultation.consultation_version,
        "patient_consultation_version",
    ),
    *_both("patients/<uuid:patient_id>/emergency", emergency.patient_emergency, "patient_emergency"),
    path("patients/<uuid:patient_id>/who-looked.<file_kind:kind>", looks.patient_looks_file, name="patient_looks_file"),
]
