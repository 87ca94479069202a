"""A word outside of the pages that there is something new in them: to patients who asked for it, at most once a day.

What is sent says that and nothing else: no hospital, no name, no number, nothing of what is new. What belongs to a
sensitive set alone sends nothing at all, so that the moment of a notice gives nothing away either.

    choosing  asking for it, and ending it, also by the link in each notice
    news      whether there is anything that a patient has not seen
    telling   mail and SMS: once, and again when they were not taken
"""
