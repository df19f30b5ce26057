"""Scores two runs on one test set: the nodules of one version, with the target that one execution made.

Each nodule's score comes from the fold of its run that had not seen its patient, so both runs are tested on patients
new to them. The interval of the difference draws patients with replacement, the same ones for both runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

import commonground as cg

TARGET = "target_malignant"
DRAWS = 200


def pick_scores(path: Path, rids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The scores of these nodules, in their order; raises SystemExit if one was never scored."""
    table = pq.read_table(path)
    known = dict(zip(table["rid"].to_pylist(), table["score"].to_pylist(), strict=True))
    missing = sum(rid not in known for rid in rids.tolist())
    if missing:
        raise SystemExit(f"{missing} nodules of the test set have no score.")
    return np.array([known[rid] for rid in rids.tolist()])


def main() -> None:
    """Measure both on the same nodules, and their difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the test set, such as nodules@1.0.0")
    parser.add_argument("--target", required=True, help="the execution that made its target")
    parser.add_argument("--scores", required=True, nargs=2, help="the scores of the two runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", required=True, help="what to call the execution")
    parser.add_argument("--why", help="what this is to find out")
    given = parser.parse_args()
    with cg.open() as study:
        maker = study.read("execution get", execution=given.target).execution
        inputs = [given.data, *given.scores]
        with study.run(intent=given.why, inputs=inputs, params={"seed": given.seed}, name=given.name) as run:
            nodules = run.input(given.data).frame(features={TARGET: cg.by_execution(maker.rid)}, missing="drop")
            target = nodules[TARGET].to_numpy().astype(bool)
            first, second = (pick_scores(run.input(name).path(), nodules["rid"].to_numpy()) for name in given.scores)
            _, patient = np.unique(nodules["scan.patient"].to_pylist(), return_inverse=True)
            random, drawn = np.random.default_rng(given.seed), []
            for _ in range(DRAWS):
                times = np.bincount(
                    random.integers(0, patient.max() + 1, patient.max() + 1), minlength=patient.max() + 1
                )
                weight = times[patient]
                if len(np.unique(target[weight > 0])) > 1:
                    aucs = [roc_auc_score(target, one, sample_weight=weight) for one in (first, second)]
                    drawn.append(aucs[1] - aucs[0])
            low, high = np.quantile(drawn, [0.025, 0.975])
            both = roc_auc_score(target, first), roc_auc_score(target, second)
            run.log({"auc of first": both[0], "auc of second": both[1], "difference": both[1] - both[0]})
            run.log({"difference low": low, "difference high": high, "nodules": len(target)})


if __name__ == "__main__":
    main()
