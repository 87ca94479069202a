"""Who wants to be told, outside of the pages, that there is something new in them."""

import uuid

from django.db import models

from passport.models.patients import Patient


class NewsNotice(models.Model):
    """A patient's wish to hear of news by mail or SMS. There only while they wish it; seen to in `passport.notices`.

    `links`: id of a link → [when its records begin to be news, the hospital's settings then]: what a hospital's first
    reading brings, and what is read again because an admin changed something, is none.
    """

    class By(models.TextChoices):
        MAIL = "mail", "e-mail"
        SMS = "sms", "SMS"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.OneToOneField(Patient, on_delete=models.CASCADE, related_name="news_notice")
    by = models.CharField(max_length=4, choices=By.choices)
    language = models.CharField(max_length=10, blank=True, help_text="Of the pages when it was chosen.")
    links = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    told_until = models.DateTimeField(help_text="What came in later has not been told.")
    looked_at = models.DateTimeField(help_text="What was read until then has been looked at.")
    sent_at = models.DateTimeField(null=True)
    n_failures = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["looked_at"], name="passport_notice_looked_at")]

    def __str__(self) -> str:
        return f"Notice {self.id}"
