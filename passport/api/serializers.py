"""Shapes of bodies and answers. Lists of what may be seen: a field that is not named here leaves the house nowhere."""

from typing import Any

from rest_framework import serializers

from passport.models.accounts import Role
from passport.models.patients import Sex
from passport.models.record import Category

FLAGS = ["normal", "low", "high", "critically_low", "critically_high", "abnormal"]


class TokenRequestSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150, help_text="A username, or a patient's National ID.")
    password = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)
    otp = serializers.CharField(
        max_length=50, required=False, allow_blank=True, help_text="One-time code, where the account has one."
    )


class RefreshRequestSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=5000)


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    # The name is the document's, not ours to choose; these two fields hide attributes that only bound serializers use.
    errors = serializers.DictField(  # type: ignore[assignment]
        required=False, help_text="What is wrong, by field."
    )


class SourceSerializer(serializers.Serializer[Any]):
    table = serializers.CharField()
    id = serializers.IntegerField()
    uuid = serializers.CharField()


class RecordSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    category = serializers.ChoiceField(choices=Category.values)
    hospital = serializers.CharField(help_text="Its code.")
    hospital_name = serializers.CharField()
    concept = serializers.CharField()
    value = serializers.CharField()
    value_number = serializers.FloatField(allow_null=True)
    unit = serializers.CharField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    flag = serializers.ChoiceField(choices=FLAGS, allow_null=True, help_text="null: not known, which is not normal.")
    status = serializers.ChoiceField(choices=["current", "withdrawn"])
    at = serializers.CharField(allow_null=True, help_text="ISO 8601 with the hospital's offset; null: undated.")
    date = serializers.CharField(allow_null=True, help_text="The hospital's day, YYYY-MM-DD.")
    visit = serializers.IntegerField(allow_null=True)
    encounter = serializers.IntegerField(allow_null=True)
    group = serializers.IntegerField(allow_null=True, help_text="Source id of the outermost obs group.")
    part_of = serializers.CharField(allow_null=True, help_text="id of the record that this one qualifies.")
    certainty = serializers.CharField(allow_null=True)
    rank = serializers.IntegerField(allow_null=True)
    provider = serializers.CharField()
    location = serializers.CharField()
    source = SourceSerializer()  # type: ignore[assignment]
    received_at = serializers.DateTimeField()


class FreshnessSerializer(serializers.Serializer[Any]):
    hospital = serializers.CharField()
    state = serializers.ChoiceField(choices=["fresh", "late", "unreachable", "paused"])
    read_at = serializers.DateTimeField(allow_null=True)


class RecordPageSerializer(serializers.Serializer[Any]):
    results = RecordSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Send it back as cursor; null: this was the last page.")
    freshness = FreshnessSerializer(many=True)


class ProfileSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.values)
    given_name = serializers.CharField()
    family_name = serializers.CharField()
    birth_date = serializers.DateField(allow_null=True)
    sex = serializers.ChoiceField(choices=Sex.values)
    email = serializers.CharField()
    phone = serializers.CharField()
    national_ids = serializers.ListField(child=serializers.CharField())


class LookSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    action = serializers.CharField()
    was_refused = serializers.BooleanField()
    basis = serializers.CharField(help_text="Why it was allowed.")
    who = serializers.CharField(help_text="Name of the account; empty when nobody did it by hand.")
    role = serializers.CharField()
    hospital = serializers.CharField(allow_null=True)
    hospital_name = serializers.CharField(allow_null=True)


class LooksPageSerializer(serializers.Serializer[Any]):
    results = LookSerializer(many=True)
    next = serializers.CharField(allow_null=True)
