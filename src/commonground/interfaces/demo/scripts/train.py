"""Trains one model on the shape of nodules and measures it on patients it has not seen.

The figure is an area under the curve (AUC): the chance that a malignant nodule scores above a benign one. Five folds,
all nodules of a patient in one of them; each nodule is scored by the model that did not see its patient, and the scores
of all folds are pooled. The interval draws patients, not nodules, with replacement. With --train and --test the model
is also trained on one part of a split and tested on the other.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import commonground as cg

SHAPE = ["diameter_mm", "volume_mm3", "compactness", "height_mm"]
PATIENT = "scan.patient"
TARGET = "target_malignant"
FOLDS = 5
DRAWS = 200

Array = np.ndarray[Any, Any]


def make_model(kind: str, trees: int, seed: int) -> RandomForestClassifier | Pipeline:
    """A model that has seen nothing yet."""
    if kind == "forest":
        return RandomForestClassifier(trees, min_samples_leaf=3, random_state=seed, n_jobs=2)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def read_table(table: pa.Table) -> tuple[Array, Array, Array]:
    """Inputs, target and patient of each nodule."""
    shape = np.column_stack([table[name].to_numpy() for name in SHAPE])
    return shape, table[TARGET].to_numpy().astype(bool), np.array(table[PATIENT].to_pylist())


def draw_interval(target: Array, scores: Array, patients: Array, seed: int) -> tuple[float, float]:
    """The middle 95 % of the AUC when patients are drawn anew with replacement."""
    random = np.random.default_rng(seed)
    _, patient = np.unique(patients, return_inverse=True)
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(random.integers(0, patient.max() + 1, patient.max() + 1), minlength=patient.max() + 1)
        weight = times[patient]
        if len(np.unique(target[weight > 0])) > 1:
            drawn.append(roc_auc_score(target, scores, sample_weight=weight))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Train, measure, and keep scores and model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the version to learn from, such as nodules@1.0.0")
    parser.add_argument("--target", required=True, help="the execution that made the target")
    parser.add_argument("--model", required=True, choices=["logistic", "forest"])
    parser.add_argument("--train", help="a part of a split to train on")
    parser.add_argument("--test", help="the part to test on")
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", required=True, help="what to call the execution")
    parser.add_argument("--why", help="what this run is to find out")
    given = parser.parse_args()
    params = {"model": given.model, "seed": given.seed, "inputs": ", ".join(SHAPE), "folds": f"{FOLDS} by patient"}
    if given.model == "forest":
        params["trees"] = given.trees
    with cg.open() as study:
        maker = study.read("execution get", execution=given.target).execution
        label = {TARGET: cg.by_execution(maker.rid)}
        inputs = [name for name in (given.data, given.train, given.test) if name]
        with study.run(intent=given.why, inputs=inputs, params=params, name=given.name) as run:
            nodules = run.input(given.data).frame(features=label, missing="drop")
            shape, target, patients = read_table(nodules)
            scores, fold = np.zeros(len(target)), np.zeros(len(target), int)
            for number, (seen, unseen) in enumerate(GroupKFold(FOLDS).split(shape, target, patients)):
                model = make_model(given.model, given.trees, given.seed).fit(shape[seen], target[seen])
                scores[unseen], fold[unseen] = model.predict_proba(shape[unseen])[:, 1], number
                run.log({"auc of fold": roc_auc_score(target[unseen], scores[unseen])}, step=number)
            low, high = draw_interval(target, scores, patients, given.seed)
            run.log({"auc": roc_auc_score(target, scores), "auc low": low, "auc high": high})
            run.log({"nodules": len(target), "malignant": target.sum(), "patients": len(set(patients))})
            model = make_model(given.model, given.trees, given.seed)
            if given.train and given.test:
                model.fit(*read_table(run.input(given.train).frame(features=label, missing="drop"))[:2])
                unseen_shape, unseen_target, _ = read_table(run.input(given.test).frame(features=label, missing="drop"))
                run.log({"auc held out": roc_auc_score(unseen_target, model.predict_proba(unseen_shape)[:, 1])})
            else:
                model.fit(shape, target)
            run.annotate("Nodule", "predicted_malignancy", (nodules["rid"], scores))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{given.name}-scores.parquet"
                pq.write_table(pa.table({"rid": nodules["rid"], "score": scores, "fold": fold}), path)
                run.save(path, kind="scores")
                joblib.dump(model, path.with_name(f"{given.name}.joblib"), compress=3)
                run.save(path.with_name(f"{given.name}.joblib"), kind="model")


if __name__ == "__main__":
    main()
