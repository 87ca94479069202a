"""What an admin said of a concept in plain words, over what comes with the passport."""

import uuid

from django.db import models


class Language(models.TextChoices):
    """The languages of the pages, in the order in which they are offered."""

    ENGLISH = "en", "English"
    FRENCH = "fr", "français"
    KINYARWANDA = "rw", "Ikinyarwanda"


class GlossaryTerm(models.Model):
    """Plain words for one concept in one language. Without a row, those of `glossary/terms.csv` count."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    concept_uuid = models.CharField("concept", max_length=38, help_text="The concept's uuid, as the hospitals have it.")
    name = models.CharField(max_length=255, blank=True, help_text="The name in the dictionary, for whoever edits this.")
    language = models.CharField(max_length=2, choices=Language.choices)
    words = models.CharField(max_length=200, help_text="What a neighbour would say.")
    more = models.CharField("explanation", max_length=500, blank=True, help_text="One or two sentences. May be empty.")
    is_reviewed = models.BooleanField("reviewed", default=False, help_text="A speaker of the language has read it.")
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name = "plain word"
        constraints = [models.UniqueConstraint(fields=["concept_uuid", "language"], name="passport_glossary_one_term")]

    def __str__(self) -> str:
        return f"{self.concept_uuid} ({self.language})"
