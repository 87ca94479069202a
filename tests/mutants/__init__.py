"""Lines of the engine, broken one at a time: each must be noticed by a test.

    kinds     what one break is
    noticing  watcher, discovery, links, looks: who may have changed
    judging   matcher, identity, anchors, brake, claims: who is whom, who may write, what is believed
    reading   reader, queries, enricher: what the rows say
    writing   refresh, writer, stores, balance, pipeline: what becomes of it
    __main__  the runner: `./run mutants`

A break that no test notices says so in `survives`, with the reason, and stands in docs/guarantees.md.
"""

from tests.mutants.judging import JUDGING
from tests.mutants.kinds import Mutant
from tests.mutants.noticing import NOTICING
from tests.mutants.reading import READING
from tests.mutants.writing import WRITING

__all__ = ["MUTANTS", "Mutant"]

MUTANTS = (*NOTICING, *JUDGING, *READING, *WRITING)
