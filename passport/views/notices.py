"""Choosing to be told of what is new, and ending it by the link in a notice."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from passport.models import User
from passport.notice_forms import NoticeForm
from passport.notices import choosing
from passport.views.session import logged_in


@require_POST
@logged_in
def choose_notices(request: HttpRequest, account: User) -> HttpResponse:
    form = NoticeForm(request.POST, user=account)
    by = form.cleaned_data["by"] if form.is_valid() else None
    try:
        if by is None:
            raise choosing.NoticeRefused
        choosing.choose(user=account, by=by, language=get_language() or "", now=timezone.now())
    except choosing.NoticeRefused:
        messages.error(request, _("Notices cannot be sent that way. Keep an address first, then choose again."))
    else:
        said = _("You are told when there is something new.") if by else _("You get no notices.")
        messages.success(request, said)
    return HttpResponseRedirect(reverse("account_contact"))


# The mail program posts without our form and without a login (RFC 8058); the link itself is the right to end it.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def stop_notices(request: HttpRequest, notice: str) -> HttpResponse:
    """A page with one button: programs that look at the links of a letter only get, and end nothing."""
    is_done = request.method == "POST"
    if is_done:
        choosing.end_by_token(token=notice, now=timezone.now())
    return render(request, "passport/stop_notices.html", {"is_done": is_done, "notice": notice})
