"""Audits: what a defense says of a suspect's clone after the run, in the summary, its tables and its files."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from adversaries import Budget, FingerprintOnly
from analysis.report import run_tables
from experiments import load, run
from experiments.conformance import check
from experiments.results import save
from sim import Defense

TAKEN, GIVEN = 3, 8


@dataclass(frozen=True)
class Watermark(Defense):
    """Give the label of one class to all items of another, and look for that in a clone."""

    kind = "watermark"
    keeps_top_label = False
    strength: float = 1.0

    def transform(self, deployment):
        if not self.strength:
            return None

        def marking(answers):
            classes = np.arange(answers.shape[1])
            classes[[TAKEN % len(classes), GIVEN % len(classes)]] = GIVEN % len(classes), TAKEN % len(classes)
            taken = answers.argmax(axis=1) == TAKEN % len(classes)
            return np.where(taken[:, None], answers[:, classes], answers)

        return marking

    def audit(self, deployment):
        answers = deployment.zoo.answers
        secret = answers.data.test[answers.data.labels[answers.data.test] == TAKEN % answers.data.classes]

        def audited(suspect, clone):
            if clone is None:
                return {"items": len(secret)}
            said = clone(deployment.inputs(secret)).argmax(axis=1)
            return {"items": len(secret), "match": (said == GIVEN % answers.data.classes).mean()}

        return audited


def scenario(**settings):
    thief = {"adversary.thief.source": "in-distribution", "adversary.thief.budget.queries": 400}
    clone = {"clone.architecture": "mlp32", "clone.epochs": 30}
    return load("knockoff", {"run.duration_s": 5.0, "workload.load": 0.05} | thief | clone | settings)


def names_of(found):
    return {name: sorted(values) for name, values in found.items()}


def test_a_watermark_is_found_in_the_clone_that_learnt_it_and_in_no_other():
    base = scenario()
    thieves = {**base.adversary, "scout": FingerprintOnly(budget=Budget(50))}
    found = {}
    for strength in (1.0, 0.0):
        guarded = replace(base, adversary=thieves, defense={"mark": Watermark(strength=strength)})
        result = run(guarded)
        (mark,) = result.summary.defenses
        assert names_of(mark.evidence) == {"thief": ["items", "match"], "scout": ["items"]}
        found[strength] = mark.evidence["thief"]["match"]
        assert json.loads(json.dumps(result.summary.to_dict()))["defenses"][0]["evidence"] == mark.evidence
    assert found[1.0] > 0.5  # most of the class is taken for the other by one who learnt that it is
    assert found[0.0] < 0.2  # and by nobody else


def test_evidence_stands_in_the_files_and_tables_of_a_run(tmp_path):
    result = run(replace(scenario(), defense={"mark": Watermark()}))
    save(result, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    (entry,) = written["defenses"]
    assert entry["evidence"]["thief"] == result.summary.defenses[0].evidence["thief"]
    (table,) = [table for table in run_tables(written) if table.caption == "Evidence of defenses after the run"]
    assert [row[:3] for row in table.rows] == [["mark", "thief", "items"], ["mark", "thief", "match"]]
    again = run(replace(scenario(), defense={"mark": Watermark()}))
    assert again.summary.to_dict() == result.summary.to_dict()


def test_what_does_not_audit_has_no_evidence():
    result = run(scenario(**{"defense.noise.kind": "laplace", "defense.noise.scale": 0.01, "clone.epochs": 1}))
    assert [one.evidence for one in result.summary.defenses] == [{}]
    assert "evidence" not in result.summary.to_dict()["defenses"][0]
    assert "Evidence of defenses after the run" not in [t.caption for t in run_tables(result.summary.to_dict())]


@dataclass(frozen=True)
class Auditing(Defense):
    kind = "auditing"
    said: str = "fine"

    def audit(self, deployment):
        rng = np.random.default_rng()
        values = {
            "fine": lambda: {"p": 0.5},
            "a number": lambda: 0.5,
            "a word": lambda: {"p": "low"},
            "infinite": lambda: {"p": float("inf")},
            "by number": lambda: {1: 0.5},
            "by chance": lambda: {"p": rng.random()},
        }
        return lambda suspect: values[self.said]()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("a number", "audit of auditing must return numbers by name, not float"),
        ("a word", "audit of auditing must return numbers by name, not {'p': 'low'}"),
        ("infinite", "audit of auditing must return finite numbers, not inf for p"),
        ("by number", "audit of auditing must return numbers by name, not dict"),
        ("by chance", "audits the same clone in two ways"),
    ],
)
def test_an_audit_that_gives_no_evidence_is_told_so(said, message):
    check(Auditing())
    with pytest.raises(AssertionError, match=message):
        check(Auditing(said))
