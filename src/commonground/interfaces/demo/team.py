"""The team of the demo, and the words they give with what they do. The readings are real; these people are not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the invented team."""

    name: str
    """The name."""
    work: str
    """What they are."""
    role: str
    """What they may do in the study."""


ELIN = Member("Dr. Elin Hawthorn", "radiologist", "curator")
NOOR = Member("Noor Tamarind", "data engineer", "curator")
PRIYA = Member("Priya Larkspur", "machine learning engineer", "contributor")
TEAM = (ELIN, NOOR, PRIYA)

WHY_IMPORT = "First delivery: the public reader study, as it was published."
WHY_LEAVE_OUT = "A 3 means the reader could not tell. It is not a mild suspicion, so it must not become a label."
WHY_ABOVE_THREE = "Above 3 the readers lean towards cancer. That is what we would send to biopsy."
WHY_SPLIT = "Two nodules of one patient look alike. A patient we train on must not be tested on."
WHY_LOGISTIC = "Can the shape of a nodule alone tell what readers call malignant?"
WHY_FOREST = "Does a forest see more in the same four shapes than a line does?"
WHY_TAKE_BACK = (
    "More than a third of our nodules are left out. A model that never saw a doubtful one is no use in clinic."
)
WHY_AGAIN = "The same model on all nodules."
WHY_SEPARATE = "Two things changed between .9 and .7, the nodules and the rule. I change one at a time."
WHY_SAME_TEST = "Both models on the same nodules, judged by the same rule: which is better?"
