"""Golden cases: what a failed run must never do again, kept as files beside the code of the agent.

observed      a run as it is judged: its steps, what it was offered, what it used
expectations  what can be expected of a run, and whether it holds: red, green, or not to be judged
proposing     which expectations the incidents of a run, and a healthy run beside it, suggest
shrinking     the fewest steps of a run that keep it red
recorded      the recording in a case, from which a stand-in for the provider answers
case          one case, as it stands in a file; who it is about, and whether it still applies
accepting     a case is made only where it is red on the bad run and green on a healthy one
running       cases against runs: verdicts, and what the whole comes to
rerunning     cases against the agent's own code, run again from the recording
reports       the same as JUnit XML and as Markdown
exports       cases as the data sets of other tools
"""
