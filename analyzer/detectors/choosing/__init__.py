"""Statistics of choices: what an agent picks, against what it picked before on the same kind of task.

tables      the counts of one choice, hour by hour, by kind of task, and what was usual
likelihood  how unlikely the counts of a window are: a fall of the usual, something unseen, a drift of the mix
openings    which values have a test opened at all: a look at others is left out where it would find nothing
walk        the hours one after the other: alarms, episodes, frozen baselines
"""
