"""Loops in one trajectory: an agent that repeats itself without getting anywhere.

    normalise   arguments and outcomes without their noise: when two calls are the same
    classify    reads, writes, polls, failures, outages, by names and texts
    sequence    the trajectory as turns, calls and replies
    calls       rules over tool calls
    replies     rules over what the model says
    scan        all rules over one trajectory; overlapping hits become one Loop
    judge       what is to be seen in a trajectory, for a store that notes it

Every rule looks at the outcome too: the same call with another answer is progress. Each is a small automaton, so the
whole is near linear in the length of the trajectory and works on a prefix of one.
"""
