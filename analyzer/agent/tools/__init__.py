"""What the model may ask for: one file a tool or a pair of them, in one table (`catalogue`), and how it hands in."""

from analyzer.agent.tools.submit import SUBMIT_ANSWER, SUBMIT_ANSWER_SPEC, SUBMIT_DIAGNOSIS, SUBMIT_DIAGNOSIS_SPEC

__all__ = ["SUBMIT_ANSWER", "SUBMIT_ANSWER_SPEC", "SUBMIT_DIAGNOSIS", "SUBMIT_DIAGNOSIS_SPEC"]
