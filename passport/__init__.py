"""The Django project, and the app of patients and their records.

Who may see whom is decided in `access`, what is shown comes from `history`, and every look leaves a row in `audit`.
Nothing here knows how a hospital is read: that is `hospitals` and `openmrs_sync`.
"""
