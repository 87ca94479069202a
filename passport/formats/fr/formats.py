"""French as Django writes it, but for the short day: figures alone would be read the other way round by some."""

SHORT_DATE_FORMAT = "j N Y"
