"""One row per login, what was counted against guessing, recovery codes, and addresses that wait to be confirmed."""

import secrets
import uuid

from django.contrib.auth.hashers import check_password
from django.db import models
from django_otp.models import Device, ThrottlingMixin


class Entry(models.Model):
    """One login, by page or API, until it ends. What its owner sees in the list of logins, and may end."""

    class Kind(models.TextChoices):
        PAGE = "page", "web page"
        API = "api", "API"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("passport.User", on_delete=models.CASCADE, related_name="entries")
    kind = models.CharField(max_length=4, choices=Kind.choices)
    key = models.CharField(max_length=64, help_text="The session's key, or the family of refresh tokens.")
    place = models.CharField(max_length=40, blank=True, help_text="The beginning of the network address.")
    device = models.CharField(max_length=80, blank=True, help_text="Browser and system, in two words.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=20, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "-started_at"], name="passport_entry_user"),
            models.Index(fields=["key"], name="passport_entry_key"),
        ]

    def __str__(self) -> str:
        return f"Entry {self.id}"


class Attempts(models.Model):
    """How often something was tried within a window. In the database, so that every process sees one count."""

    key = models.CharField(primary_key=True, max_length=64, help_text="A keyed hash: of whom cannot be read back.")
    count = models.PositiveIntegerField()
    until = models.DateTimeField(help_text="The end of the window: after it the count begins anew.")

    class Meta:
        indexes = [models.Index(fields=["until"], name="passport_attempts_until")]

    def __str__(self) -> str:
        return f"Attempts until {self.until:%Y-%m-%d %H:%M}"


class ContactChange(models.Model):
    """An e-mail address that its owner wants to use and has not yet proved to be theirs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("passport.User", on_delete=models.CASCADE, related_name="contact_changes")
    email = models.EmailField()
    token_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"Contact change {self.id}"


class RecoveryDevice(ThrottlingMixin, Device):  # type: ignore[misc]  # the package has no types
    """The recovery codes of one login: each opens it once, in the place of a one-time code.

    Not the package's own, which keeps them readable: whoever holds a backup would hold the second factor.
    """

    #: Lower case, without 0 and 1. 40 bits, behind a slow hash, and eight tries in a quarter of an hour.
    ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
    LENGTH = 8

    user = models.ForeignKey("passport.User", on_delete=models.CASCADE, related_name="+")

    @classmethod
    def random_code(cls) -> str:
        return "".join(secrets.choice(cls.ALPHABET) for _ in range(cls.LENGTH))

    def get_throttle_factor(self) -> int:
        return 1

    def verify_token(self, token: str) -> bool:
        """Use this code up. Of two who do so at once one wins."""
        typed = "".join(token.split()).lower()
        # The six digits of an app are none of these: they cost no hash and count as no try.
        if len(typed) != self.LENGTH or not self.verify_is_allowed()[0]:
            return False
        codes = RecoveryCode.objects.filter(device=self)
        for code in codes:
            if check_password(typed, code.code_hash) and codes.filter(pk=code.pk).delete()[0]:
                self.throttle_reset()
                return True
        self.throttle_increment()
        return False


class RecoveryCode(models.Model):
    """A hash of one code, until it is used. The code itself was shown once."""

    device = models.ForeignKey(RecoveryDevice, on_delete=models.CASCADE, related_name="codes")
    code_hash = models.CharField(max_length=128)

    def __str__(self) -> str:
        return f"Recovery code {self.pk}"
