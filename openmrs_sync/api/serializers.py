"""Shapes of the API's bodies and answers; the fields are lists of what may be seen."""

from typing import Any, ClassVar

from rest_framework import serializers

from openmrs_sync.control import LONGEST_INTERVAL, SHORTEST_INTERVAL
from openmrs_sync.models import Breaker, SyncRun
from openmrs_sync.runs import COUNTS
from passport.api.serializers import ProblemSerializer


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction. DRF's own also takes "5" and 5.0."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class StartSerializer(serializers.Serializer[Any]):
    intervalMinutes = WholeNumberField(  # noqa: N815 - the contract's spelling
        required=False, min_value=SHORTEST_INTERVAL, max_value=LONGEST_INTERVAL
    )


class ControlSerializer(serializers.Serializer[Any]):
    running = serializers.BooleanField()
    interval_minutes = serializers.IntegerField()
    next_due_at = serializers.DateTimeField(allow_null=True)


class StepSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    result = serializers.ChoiceField(choices=["pass", "fail", "hint"])
    message = serializers.CharField()


class TestedHospitalSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    ok = serializers.BooleanField()
    steps = StepSerializer(many=True)


class InitializeSerializer(serializers.Serializer[Any]):
    hospitals = serializers.ListField(child=serializers.JSONField(allow_null=True), required=False)


class InitializedSerializer(serializers.Serializer[Any]):
    hospitals = TestedHospitalSerializer(many=True)


class StartedRunSerializer(serializers.Serializer[Any]):
    hospital = serializers.CharField()
    id = serializers.UUIDField()
    url = serializers.CharField()


class SyncAllSerializer(serializers.Serializer[Any]):
    runs = StartedRunSerializer(many=True)
    already_running = serializers.ListField(child=serializers.CharField())


class SyncAllConflictSerializer(ProblemSerializer):
    """The problem, with the lists of the answer that it stands for."""

    runs = StartedRunSerializer(many=True)
    already_running = serializers.ListField(child=serializers.CharField())


class RunSerializer(serializers.ModelSerializer[SyncRun]):
    """The object of `sync --json`, which run it was, and what it cost the hospital's server."""

    hospital = serializers.CharField(source="hospital.code", read_only=True)
    seconds = serializers.FloatField(read_only=True)

    class Meta:
        model = SyncRun
        fields: ClassVar = [
            "id",
            "hospital",
            "status",
            "error_kind",
            "message",
            "trigger",
            "is_full",
            "started_at",
            "finished_at",
            *COUNTS,
            "seconds",
            "n_source_rows",
            "source_seconds",
        ]
        read_only_fields = fields


class RunPageSerializer(serializers.Serializer[Any]):
    results = RunSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class PatientRefreshSerializer(serializers.Serializer[Any]):
    hospital = serializers.CharField()
    status = serializers.ChoiceField(choices=["ok", "not_found", "held", "unreachable", "busy", "failed", "disabled"])
    n_created = serializers.IntegerField()
    n_updated = serializers.IntegerField()
    n_withdrawn = serializers.IntegerField()
    n_unchanged = serializers.IntegerField()
    n_parked = serializers.IntegerField()
    n_excluded = serializers.IntegerField()


class SyncPatientSerializer(serializers.Serializer[Any]):
    hospitals = PatientRefreshSerializer(many=True)


class HospitalStatusSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    state = serializers.ChoiceField(choices=["draft", "tested", "live", "paused", "retired"])
    lag_seconds = serializers.IntegerField(allow_null=True)
    last_success_at = serializers.DateTimeField(allow_null=True)
    last_error_kind = serializers.CharField(allow_null=True)
    breaker = serializers.ChoiceField(choices=Breaker.State.choices)
    receipt = serializers.DictField()
    records = serializers.IntegerField()


class StatusSerializer(ControlSerializer):
    worker_alive = serializers.BooleanField()
    hospitals = HospitalStatusSerializer(many=True)
    runs = RunSerializer(many=True)
