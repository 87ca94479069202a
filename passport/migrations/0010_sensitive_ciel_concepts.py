"""The sensitive concepts that the table begins with: CIEL's numbers, as uuids and as codes."""

from django.db import migrations

HIV = {
    138405: "HIV disease",
    129473: "Laboratory evidence of HIV",
    160158: "HIV disease resulting in other specified diseases",
    160159: "HIV resulting in infectious or parasitic disease",
    160161: "Generalised skin infection due to AIDS",
    160170: "HIV and opportunistic infection diagnoses",
    1169: "HIV infected",
    856: "HIV viral load",
    1305: "HIV viral load, qualitative",
    5497: "CD4 count",
    730: "CD4 percent",
    1040: "HIV rapid test",
    1326: "HIV rapid test 2",
    1030: "HIV DNA PCR, qualitative",
    844: "HIV DNA PCR",
    159427: "Result of HIV test",
    160554: "Date of HIV diagnosis",
    5356: "Current WHO HIV stage",
    1255: "Antiretroviral plan",
    1085: "Antiretroviral drugs",
    159599: "Antiretroviral treatment start date",
    628: "Lamivudine",
    797: "Zidovudine",
    625: "Stavudine",
    631: "Nevirapine",
    633: "Efavirenz",
    802: "Tenofovir",
    814: "Abacavir",
    794: "Lopinavir and ritonavir",
    70056: "Abacavir",
    71647: "Atazanavir",
    74807: "Didanosine",
    75523: "Efavirenz",
    75628: "Emtricitabine",
    78643: "Lamivudine",
    79040: "Lopinavir",
    80586: "Nevirapine",
    83412: "Ritonavir",
    84309: "Stavudine",
    84795: "Tenofovir",
    86663: "Zidovudine",
}
MENTAL_HEALTH = {
    119537: "Depression",
    113155: "Schizophrenia",
    115924: "Bipolar affective disorder, manic",
    134337: "Mental disorder",
    160177: "Psychological diagnoses",
    160197: "Psychosomatic disorder",
    160198: "Psychological problem, other",
    160199: "Behaviour disorder not due to alcohol or drugs",
    160200: "Mental or behavioural disorder due to alcohol or illicit drugs",
}
VIOLENCE = {
    123160: "Sexual assault",
    126582: "Sexual abuse",
    152370: "Sexual assault",
}
PREGNANCY = {
    45: "Pregnancy test, urine",
    48: "Miscarriage",
    1053: "Parity",
    1427: "Last menstrual period",
    1434: "Currently pregnant",
    1438: "Weeks of pregnancy",
    1439: "Fundal height",
    1440: "Fetal heart rate",
    1590: "Number of antenatal visits",
    5272: "Pregnancy status",
    5596: "Estimated date of delivery",
    5599: "Date of confinement",
    5624: "Gravida",
    115491: "Multiple gestation",
    117617: "Haemorrhage in early pregnancy",
    126127: "Spontaneous abortion",
    139502: "Genitourinary tract infection in pregnancy",
    160151: "Presumed malaria with pregnancy",
    160152: "Confirmed malaria with pregnancy",
    160153: "Presumptive malaria with minor digestive symptoms, pregnant",
    160154: "Confirmed malaria with minor digestive symptoms, pregnant",
    160207: "Single spontaneous delivery",
    160210: "Labour complicated by intrapartum haemorrhage",
    160211: "Multiple delivery",
    160212: "Pregnancy, childbearing and family planning diagnoses",
}
SETS = {"hiv": HIV, "mental_health": MENTAL_HEALTH, "violence": VIOLENCE, "pregnancy": PREGNANCY}


def seeds():
    for sensitive_set, concepts in SETS.items():
        for number, name in concepts.items():
            common = {"sensitive_set": sensitive_set, "name": name}
            yield {**common, "concept_uuid": f"{number}".ljust(36, "A"), "source": "", "code": ""}
            yield {**common, "concept_uuid": "", "source": "CIEL", "code": f"{number}"}


def sow(apps, schema_editor):
    model = apps.get_model("passport", "SensitiveConcept")
    model.objects.bulk_create([model(**seed) for seed in seeds()], ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("passport", "0009_source_concept")]
    # Backwards nothing: taken out rows would open what an admin may have counted on.
    operations = [migrations.RunPython(sow, migrations.RunPython.noop)]
