"""The pages of patients and doctors, made on the server; none needs JavaScript.

credentials   who stands at the door (knows no HTTP)
login         the door: password, one-time code, enrolment, log-out
session       who may come in without passing the door again
words         what the pages say: freshness, flags, rules, in sentences
record        overview, history, one record, who looked: the same for the patient and for a doctor
patients      the doctor's search
lines, cards  one record as a line, a visit as a card      pressures  two numbers in one line
"""
