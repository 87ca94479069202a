"""The admin's form of a hospital. The password is written and never shown; identifier types are picked from a test."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django import forms
from django.core.exceptions import ValidationError

from hospitals import validation
from hospitals.models import Hospital
from hospitals.registry import NEEDS_PASSWORD, HospitalSettings, PasswordNeeded, check_password_given

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Hospital]
else:
    _ModelForm = forms.ModelForm

T = TypeVar("T")

# Not the form's own Meta: the admin makes a form of the form, and its fields are all there are.
COLUMNS = [
    "code", "name", "host", "port", "database", "username", "tls_mode", "tls_ca", "time_zone",
    "sync_interval_minutes", "sweep_hours", "pace_rows_per_second", "quiet_from", "quiet_to",
    "is_watched", "corrections_email",
]  # fmt: skip
# Read by a function of `validation` each, as in JSON: one rule for a host, wherever it is typed.
CHECKED = ("code", "name", "host", "database", "username", "tls_ca", "time_zone")


class HospitalForm(_ModelForm):
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Kept encrypted, never shown. Or where it lies: env:NAME, file:/run/secrets/name. Empty: unchanged.",
    )
    languages = forms.CharField(
        max_length=200,
        initial="en",
        help_text="Of the names of concepts, best first, with commas between: fr, en.",
    )
    found_types = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Identifier types that hold the National ID",
        help_text="What the last test of the connection found.",
    )
    named_types = forms.CharField(
        required=False,
        label="Identifier types by name",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Names or uuids that the list above does not have, one a line.",
    )

    class Meta:
        model = Hospital
        fields = COLUMNS
        widgets = {
            "tls_ca": forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
            **{name: forms.TimeInput(attrs={"type": "time"}, format="%H:%M") for name in ("quiet_from", "quiet_to")},
        }
        labels = {
            "tls_mode": "Encryption",
            "tls_ca": "Certificate authority",
            "pace_rows_per_second": "Pace (rows a second)",
            "quiet_from": "Quiet hours from",
            "quiet_to": "Quiet hours to",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "code" in self.fields:  # afterwards it stands there to be read
            self.fields["code"].required = False
            self.fields["code"].help_text = (
                "Small letters, digits and dashes: what other systems know it by; it never changes. "
                "Empty: made from the name."
            )
        self._types = _types_of_latest_test(self.instance)
        by_uuid = {one["uuid"]: one for one in self._types}
        picked = {given: self._uuid(given) for given in self.instance.national_id_types}
        found = cast(forms.MultipleChoiceField, self.fields["found_types"])
        found.choices = [(uuid, _label(one)) for uuid, one in by_uuid.items()]
        found.initial = [uuid for uuid in picked.values() if uuid in by_uuid]
        if not by_uuid:
            found.help_text = "Test the connection, and the types of this hospital are listed here with their counts."
        self.fields["named_types"].initial = "\n".join(given for given, uuid in picked.items() if uuid not in by_uuid)
        if self.instance.locales:
            self.fields["languages"].initial = ", ".join(self.instance.locales)

    def clean_languages(self) -> tuple[str, ...]:
        return _checked(validation.locales, self.cleaned_data["languages"])

    def clean_password(self) -> str | None:
        given: str = self.cleaned_data["password"]
        return _checked(validation.password, given) if given else None

    def clean_named_types(self) -> tuple[str, ...]:
        lines = [line for line in self.cleaned_data["named_types"].splitlines() if line.strip()]
        return _checked(validation.national_id_types, lines)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance._state.adding and cleaned.get("code") == "" and cleaned.get("name"):
            cleaned["code"] = self._code_of_name(cleaned["name"])
        for name in CHECKED:
            if cleaned.get(name):
                try:
                    cleaned[name] = validation.FIELDS[name](cleaned[name])
                except validation.Unacceptable as error:
                    self.add_error(name, _sentence(error))
        self._check_quiet_hours(cleaned)
        self._check_password(cleaned)
        return cleaned

    def wanted(self) -> HospitalSettings:
        """The settings of a valid form, for `hospitals.registry`."""
        cleaned = self.cleaned_data
        kept = [given for given in self.instance.national_id_types if self._uuid(given) in cleaned["found_types"]]
        known = {self._uuid(given) for given in kept}
        # A name stays the name it was: writing its uuid instead would be a change, and everyone would be read again.
        types = [*kept, *(uuid for uuid in cleaned["found_types"] if uuid not in known), *cleaned["named_types"]]
        return HospitalSettings(
            code=cleaned.get("code") or self.instance.code,
            **{name: cleaned[name] for name in COLUMNS if name != "code"},
            password=cleaned["password"],
            locales=cleaned["languages"],
            national_id_types=tuple(dict.fromkeys(types)),
        )

    def _code_of_name(self, name: str) -> str:
        code = validation.code_of_name(name)
        if not code:
            self.add_error("code", "None can be made from this name: give one, such as kigali-central.")
        elif Hospital.objects.filter(code=code).exists():
            self.add_error("code", f"The name would make {code}, and a hospital has that already: give another code.")
        return code

    def _check_quiet_hours(self, cleaned: dict[str, Any]) -> None:
        if {"quiet_from", "quiet_to"} & set(self.errors):
            return
        try:
            validation.check_quiet_hours(cleaned.get("quiet_from"), cleaned.get("quiet_to"))
        except validation.Unacceptable as error:
            self.add_error("quiet_to", _sentence(error))

    def _check_password(self, cleaned: dict[str, Any]) -> None:
        if self.instance._state.adding:
            if not cleaned.get("password") and "password" not in self.errors:
                self.add_error("password", "A new hospital needs its password, or a reference to it.")
            return
        stored = Hospital.objects.get(pk=self.instance.pk)
        changed = {name for name in NEEDS_PASSWORD if name in cleaned and cleaned[name] != getattr(stored, name)}
        try:
            check_password_given(changed=changed, password=cleaned.get("password"), hospital=stored)
        except PasswordNeeded as error:
            self.add_error("password", str(error))

    def _uuid(self, given: str) -> str:
        """The uuid of a type as the admin gave it, as far as it is known; else what was given."""
        known: dict[str, str] = self.instance.national_id_type_uuids
        by_name = {one["name"]: one["uuid"] for one in self._types if not one["is_retired"]}
        return known.get(given) or by_name.get(given) or given


def _checked(check: Callable[[object], T], value: object) -> T:
    try:
        return check(value)
    except validation.Unacceptable as error:
        raise ValidationError(_sentence(error)) from None


def _types_of_latest_test(hospital: Hospital) -> list[dict[str, Any]]:
    """From the latest test that got as far as listing them."""
    if hospital._state.adding:
        return []
    tests: Iterable[list[dict[str, Any]]] = hospital.connection_tests.order_by("-at", "-pk").values_list(
        "identifier_types", flat=True
    )[:20]
    return next((types for types in tests if types), [])


def _label(one: dict[str, Any]) -> str:
    retired = ", retired" if one["is_retired"] else ""
    return f"{one['name']} ({one['n_live']:,} values, {one['n_parsing']:,} can be a National ID{retired})"


def _sentence(error: Exception) -> str:
    return f"This {error}"
