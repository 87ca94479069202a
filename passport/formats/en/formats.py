"""English as it is written in Rwanda: the day before the month, the clock of twenty-four hours. Not Django's American."""

DATE_FORMAT = "j F Y"
SHORT_DATE_FORMAT = "j M Y"
MONTH_DAY_FORMAT = "j F"
TIME_FORMAT = "H:i"
