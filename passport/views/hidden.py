"""What the patient keeps from doctors and carers: chosen, listed, shown again."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from passport import access, history
from passport.access import AccessRefused, Action, Opened, hides
from passport.models import Hide, Patient, User
from passport.permission_forms import SET_NAMES, HideForm, HideOneForm, categories
from passport.views import lines, permission_words
from passport.views.lines import Pages
from passport.views.record import frame, refused
from passport.views.session import logged_in


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def hidden(request: HttpRequest, account: User) -> HttpResponse:
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=Action.PERMISSIONS, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    problem = ""
    if request.method == "POST":
        form = HideForm(request.POST)
        try:
            if not form.is_valid():
                raise AccessRefused(_("Choose something to keep back."))
            _hide(opened, account, **form.cleaned_data)
        except AccessRefused as refusal:
            problem = str(refusal)
        else:
            messages.success(request, _("Done. Doctors and carers do not see it from now on."))
            return HttpResponseRedirect(reverse("hidden"))
    pages = Pages()
    context = frame(opened, pages, tab="permissions", now=now)
    context |= {"problem": problem, "forms": _forms(opened), **_listed(opened, pages)}
    return render(request, "passport/hidden.html", context, status=400 if problem else 200)


def _hide(opened: Opened, account: User, *, kind: str, what: str) -> Hide:
    """Raises AccessRefused."""
    common: dict[str, Any] = {"actor": account, "now": timezone.now()}
    if kind == Hide.Kind.RECORD:
        return hides.hide_record(scope=opened.scope, key=what, **common)
    if kind == Hide.Kind.CATEGORY:
        return hides.hide_category(patient=opened.patient, category=what, **common)
    if kind == Hide.Kind.SENSITIVE:
        return hides.hide_set(patient=opened.patient, sensitive_set=what, **common)
    hospital = next((each for each in hides.hospitals_of(opened.scope) if each.code == what), None)
    if hospital is None:
        raise AccessRefused(_("Choose one of the hospitals in the list."))
    return hides.hide_hospital(patient=opened.patient, hospital=hospital, **common)


def _forms(opened: Opened) -> list[HideOneForm]:
    chosen = opened.scope.hides
    hospitals = [each for each in hides.hospitals_of(opened.scope) if each.pk not in chosen.hospitals]
    kinds: list[tuple[str, Any, list[tuple[str, Any]]]] = [
        ("sensitive", _("A subject"), [each for each in SET_NAMES if each[0] not in chosen.sets]),
        ("category", _("A kind of entry"), [each for each in categories() if each[0] not in chosen.categories]),
        ("hospital", _("A hospital"), [(each.code, each.name) for each in hospitals]),
    ]
    return [HideOneForm(kind=kind, label=label, choices=found) for kind, label, found in kinds if found]


def _listed(opened: Opened, pages: Pages) -> dict[str, Any]:
    """What is kept back now: single entries as entries, everything else in words."""
    found = hides.hides_for(opened.patient)
    entries = history.named_records(scope=opened.scope, rows=opened.scope.hides.rows)
    return {
        "choices": [(hide.pk, permission_words.hide_words(hide)) for hide in found if hide.kind != Hide.Kind.RECORD],
        "entries": [
            (
                hide.pk,
                [
                    lines.line(each, pages=pages, with_day=True, with_hospital=True)
                    for each in entries.get((hide.table, hide.source_uuid), [])
                ],
            )
            for hide in found
            if hide.kind == Hide.Kind.RECORD
        ],
    }


@require_POST
@logged_in
def show_again(request: HttpRequest, account: User, hide_id: UUID) -> HttpResponse:
    patient = Patient.objects.filter(user=account).first()
    if patient is None:
        return refused(request, account, patient_id=None)
    if hides.show_again(patient=patient, actor=account, hide_id=hide_id, now=timezone.now()):
        messages.success(request, _("Done. Whoever may see your record sees it again."))
    return HttpResponseRedirect(reverse("hidden"))
