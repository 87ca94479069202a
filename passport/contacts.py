"""How an account is reached: its e-mail address and telephone. A password can be had anew by the address, so it is
proved first, and the one of before hears of it.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.utils.translation import gettext as _

from passport import letters, passwords
from passport.audit import record_event
from passport.letters import Letter
from passport.models import ContactChange, Patient, User

PROOF = dt.timedelta(hours=24)


class ContactRefused(ValueError):
    """The link of the letter is used, too old, or another account's."""


class ResetTokens(PasswordResetTokenGenerator):
    """Good for an hour and once: the password is in it, and so is the stamp that ends all logins."""

    key_salt = "passport.contacts.ResetTokens"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.login_stamp}{user.is_active}"


reset_tokens = ResetTokens()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    email: str
    phone: str


def contact_of(user: User) -> Contact:
    return Contact(email=user.email, phone=user.phone)


@transaction.atomic
def set_phone(*, user: User, phone: str, now: dt.datetime) -> None:
    if user.phone == phone:
        return
    user.phone = phone
    user.save(update_fields=["phone"])
    patient = Patient.objects.filter(user=user).first()
    if patient is not None:
        Patient.objects.filter(pk=patient.pk).update(phone=phone)
    record_event(
        action="contact_changed", actor=user, now=now, patient_id=patient.pk if patient else None, basis="phone"
    )
    _tell(user.email, _("Your telephone number at Patient Passport was changed."))


@transaction.atomic
def ask_to_change_email(*, user: User, email: str, now: dt.datetime) -> str:
    """The secret of the link that proves the new address. Until it is followed nothing changes; the old one is told."""
    secret = secrets.token_urlsafe(32)
    ContactChange.objects.filter(user=user, confirmed_at__isnull=True).delete()
    change = ContactChange.objects.create(
        user=user, email=email, token_hash=_hash(secret), created_at=now, expires_at=now + PROOF
    )
    record_event(action="contact_change_asked", actor=user, now=now, basis="email", details={"change": change.pk})
    _tell(user.email, _("Somebody who is logged in to your account wants to use another e-mail address for it."))
    return secret


@transaction.atomic
def confirm_email(*, user: User, secret: str, now: dt.datetime) -> None:
    """The new address is proved and used; the old one is told. Raises ContactRefused."""
    mine = ContactChange.objects.filter(user=user, token_hash=_hash(secret), confirmed_at__isnull=True)
    change = mine.filter(expires_at__gt=now).first()
    if change is None or not mine.filter(pk=change.pk).update(confirmed_at=now):
        raise ContactRefused
    before = user.email
    user.email = change.email
    user.save(update_fields=["email"])
    patient = Patient.objects.filter(user=user).first()
    if patient is not None:
        Patient.objects.filter(pk=patient.pk).update(email=change.email)
    record_event(
        action="contact_changed",
        actor=user,
        now=now,
        patient_id=patient.pk if patient else None,
        basis="email",
        details={"change": change.pk},
    )
    text = _("The e-mail address of your account at Patient Passport was changed.")
    _tell(before, text)
    _tell(change.email, text)


def send_proof(*, to: str, link: str) -> None:
    letters.send(
        Letter(
            kind="proof",
            to=to,
            subject=_("Is this your address?"),
            body=_("To use this address for your Patient Passport, open this page while you are logged in:")
            + f"\n\n{link}\n\n"
            + _("If you did not ask for it, do nothing."),
        )
    )


def send_reset(*, account: User | None, link: str, now: dt.datetime) -> None:
    """A letter with the link to choose another password, if there is an open account with an address. Audited."""
    is_sent = account is not None and account.is_active and bool(account.email) and letters.can_send()
    record_event(action="password_reset_asked", actor=account, now=now, basis="letter" if is_sent else "no_letter")
    letters.send(
        Letter(
            kind="reset",
            to=account.email if account is not None and is_sent else "",
            subject=_("Choose another password"),
            body=_("To choose another password for your Patient Passport, open this page within an hour:")
            + f"\n\n{link}\n\n"
            + _("If you did not ask for it, do nothing: your password stays as it is."),
        )
    )


def reset(*, user: User, token: str, password: str, now: dt.datetime) -> None:
    """Raises ContactRefused, PasswordRefused. Of two at once one wins."""
    with transaction.atomic():
        fresh = User.objects.select_for_update(of=("self",)).filter(pk=user.pk, is_active=True).first()
        if fresh is None or not reset_tokens.check_token(fresh, token):
            raise ContactRefused
        passwords.set_new(user=fresh, password=password, actor=fresh, why="letter", now=now)


def _tell(address: str, text: str) -> None:
    body = text + "\n\n" + _("If this was not you, log in and change your password, or ask an administrator.")
    transaction.on_commit(
        lambda: letters.send(Letter(kind="notice", to=address, subject=_("Your account was changed"), body=body))
    )


def _hash(secret: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), secret.encode(), hashlib.sha256).hexdigest()
