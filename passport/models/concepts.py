"""What the hospitals' dictionaries say of the concepts that records use."""

import uuid

from django.db import models


class SourceConcept(models.Model):
    """The codes that one hospital maps a concept to. Written by the sync, for concepts that some record uses.

    Source: OpenMRS tables concept_reference_map, concept_reference_term, concept_reference_source.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.CASCADE, related_name="+")
    concept_uuid = models.CharField(max_length=38)
    codes = models.JSONField(
        default=list, help_text='[["LOINC", "8480-6"], …], sorted; sources as the engine spells them.'
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hospital", "concept_uuid"], name="passport_concept_of_hospital")
        ]
        indexes = [models.Index(fields=["concept_uuid"], name="passport_concept_uuid")]

    def __str__(self) -> str:
        return self.concept_uuid
