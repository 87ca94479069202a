"""Random histories of a hospital and of our side, and what must hold whatever happened.

    derivation   what our live records and links must be: slow, row by row, from the source alone; knows nothing of ours
    rendering    what one live row says, for the derivation
    hospital     what people at the hospital do: a verb for each, also in transactions that commit late
    faults       what befalls a worker in the middle of a run
    stage        one hospital, one passport, every step, and the comparison of the two
    telling      how many of them are told, and with which seeds
    machine      the hypothesis state machine that puts the steps together
    moments      what a run has read, held against its snapshot right after it
    patterns     a few steps in a row that chance alone would bring too seldom
    taken_out    rules of the engine, taken out one at a time: the machine must notice
    examples     histories that once ended wrong

The same seed tells the same histories, in every process: ids, uuids, stamps, and which of two edits is refused, too.
A history that fails is printed as a list of steps, shortest first, that can be pasted into `examples`.
"""
