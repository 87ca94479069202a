"""The engine: our records of a person are a function of the hospital's rows of that person.

The rooms, in the order in which data walks through them:

    discovery    all identifiers of the National ID types at the hospital, by normalised number
    matcher      linked, held or not, and why (pure)
    watcher      the cheap look: which persons may have changed since the last one
    links        marks on links; which persons are due, in one order
    reader       persons → the source's rows of these persons, in one snapshot
    enricher     ids → names, units, ranges; the hospital's local times → UTC
    categoriser  condition, medication, test, vital, visit, allergy, other; and the rule that fired
    writer       makes our records equal to what was read; the one place that knows our store's dialect
    pipeline     sync_hospital(): the whole of it, in the order above

`schema` says what this source has, `queries` holds every SQL text sent to it, `rows` the shapes that cross
the borders between rooms, `models` what the engine remembers. `tasks` and `queue` run it on a schedule, and
`lookout` has it run when something moved.
"""
