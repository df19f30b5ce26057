"""Makes the target of a dataset: readers' malignancy grades in, a rule as parameter, one yes or no for each nodule out.

A reader counts once; with two middle grades the median is their mean. The values are computed, so that each belongs
to the execution that made it, and the rule to its parameters.
"""

from __future__ import annotations

import argparse
import operator

import commonground as cg

RULES = {"median > 3": operator.gt, "median >= 3": operator.ge}


def main() -> None:
    """Read the grades, apply the rule, write the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the dataset, such as nodules@dev")
    parser.add_argument("--rule", required=True, choices=list(RULES), help="when a nodule counts as malignant")
    parser.add_argument("--name", required=True, help="what to call the execution")
    parser.add_argument("--why", help="why this rule")
    given = parser.parse_args()
    with cg.open() as study:
        params = {"rule": given.rule, "grade": "malignancy", "of several readers": "median"}
        with study.run(intent=given.why, inputs=[given.data], params=params, name=given.name) as run:
            nodules = run.input(given.data).frame(features={"malignancy": cg.median(ties="mean")}, missing="drop")
            malignant = RULES[given.rule](nodules["malignancy"].to_numpy(), 3)
            run.annotate("Nodule", "target_malignant", (nodules["rid"], malignant))
            run.log({"nodules": len(malignant), "malignant": int(malignant.sum())})


if __name__ == "__main__":
    main()
