"""Check that a defense keeps its contract: hooks that are hooks, answers on the simplex, charges where they belong."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from adversaries.judging.evidence import checked
from experiments.conformance.example import QUERIES, SEED, example_run, example_specs, example_zoo
from sim import OUTCOMES, Defense, deploy
from sim.contracts import READS, Misfit, Part
from sim.gateway.hooks import Hook, Hooks, columns_of
from zoo import Zoo

ANSWERED = OUTCOMES.index("answered")
HOOKS = ("fit", *READS)
ANSWERS = 64


def check_defense(part: Defense) -> None:
    """Check a defense's hooks one by one, and in a run beside a cluster without it."""
    name = type(part).__name__
    _check_names(part)
    try:
        hooks = deploy(part, example_zoo(), SEED)
    except Misfit as wrong:
        raise AssertionError(f"{name}: {wrong}") from None
    for hook in hooks.rewrite:
        check_rewrite(name, hook)
    for hook in hooks.transform:
        _check_transform(part, hook)
    for hook in hooks.audit:
        _check_audit(name, hook)
    _check_charges(part, hooks)
    _check_truth(part)
    if not _used(hooks):
        _check_nothing(part)


def _check_names(part: Defense) -> None:
    """Check that a defense has a hook, and no method that only looks like one."""
    name, known = type(part).__name__, {*dir(Defense), *dir(Part)}
    own = [base for base in type(part).__mro__ if base not in Defense.__mro__]
    fields = {*getattr(type(part), "__dataclass_fields__", {})}
    for base in own:
        for method, value in vars(base).items():
            if method.startswith("_") or method in known or method in fields or not callable(value):
                continue
            near = get_close_matches(method.lower(), HOOKS, 1, 0.7)
            assert not near, f"{name}.{method} is no hook and never called; did you mean {near[0]}?"
    hooks = [hook for hook in READS if getattr(type(part), hook) is not getattr(Defense, hook)]
    assert hooks, f"{name} has no hook; a defense has at least one of {', '.join(READS)}"


def _used(hooks: Hooks) -> list[Hook]:
    return [*hooks.all(), *hooks.audit]


def as_read(accuracy: Any, latency_s: Any, uniform: Any = None) -> dict[str, Any]:
    """Return columns by the names that a hook may read them by."""
    account, item = np.zeros(np.shape(accuracy), np.int32), np.full(np.shape(accuracy), -1, np.int32)
    return columns_of((accuracy, latency_s), account, item) | {"uniform": uniform}


def check_rewrite(name: str, hook: Hook) -> None:
    """Check that a hook rewrites specs by what it is given and nothing else."""

    def rewritten(accuracy: Any, latency_s: Any) -> Any:
        return hook(as_read(accuracy, latency_s) | {"rng": np.random.default_rng(SEED)})

    accuracy, latency_s = example_specs()
    given = accuracy.copy(), latency_s.copy()
    first, again = rewritten(accuracy, latency_s), rewritten(accuracy, latency_s)
    assert all(map(np.array_equal, given, (accuracy, latency_s))), f"{name} changes its inputs"
    assert all(map(np.array_equal, first, again)), f"{name} is not determined by its generator"
    single = rewritten(np.asarray(0.7), np.asarray(0.01))
    assert all(np.shape(value) == () for value in single), f"{name} must rewrite one spec to one spec"


def _check_audit(name: str, hook: Hook) -> None:
    """Check that an audit gives numbers, also of one who has no clone, and always the same."""
    classes = _answers(example_zoo()).shape[1]

    def certain(inputs: Any) -> Any:
        return np.eye(classes, dtype=np.float32)[np.zeros(len(inputs), dtype=np.int64)]

    for clone in (None, certain):
        said = []
        for _ in range(2):
            try:
                said.append(checked(hook.deployed.defense.kind, hook({"suspect": "thief", "clone": clone})))
            except ValueError as wrong:
                raise AssertionError(f"{name}: {wrong}") from None
        assert said[0] == said[1], f"{name} audits the same clone in two ways"


def _check_transform(part: Defense, hook: Hook) -> None:
    """Check what a hook makes of answers: probability vectors, within what the defense promises, item by item."""
    name, zoo = type(part).__name__, example_zoo()
    answers = _answers(zoo)
    given = answers.copy()
    received = np.asarray(hook(_block(hook, answers)))
    assert np.array_equal(answers, given), f"{name} changes its inputs"
    assert received.shape == answers.shape, f"{name} returns answers of shape {received.shape}, not {answers.shape}"
    assert np.isfinite(received).all(), f"{name} returns answers that are not finite"
    assert (received >= 0).all(), f"{name} returns probabilities below 0"
    assert np.allclose(received.sum(axis=1), 1, atol=1e-4), f"{name} returns probabilities that do not add up to 1"
    if part.keeps_top_label:
        kept = received.max(axis=1) <= received[np.arange(ANSWERS), answers.argmax(axis=1)]
        assert kept.all(), f"{name} promises to keep the top label, and does not"
    farthest = float(np.abs(received - answers).sum(axis=1).max())
    assert farthest <= part.most_l1 + 1e-4, (
        f"{name} promises an L1 distance of {part.most_l1:g}, and has {farthest:.3g}"
    )
    fresh = deploy(part, zoo, SEED).transform[0]
    singles = [np.asarray(fresh(_block(fresh, answers[i : i + 1], i)))[0] for i in range(ANSWERS)]
    if part.plain:
        same = np.allclose(np.stack(singles), received, atol=1e-6)
        assert same, f"{name} answers a block otherwise than its items one by one; say plain = False if it keeps state"


def _answers(zoo: Zoo) -> Any:
    """Return answers of every kind: any, sure, and undecided."""
    assert zoo.answers is not None
    classes = zoo.answers.probabilities.shape[-1]
    answers = np.random.default_rng(SEED).dirichlet(np.full(classes, 0.5), ANSWERS).astype(np.float32)
    answers[0], answers[1] = np.eye(classes, dtype=np.float32)[0], np.float32(1 / classes)
    return answers


def _block(hook: Hook, answers: Any, first: int = 0) -> dict[str, Any]:
    items = np.arange(first, first + len(answers))
    return {
        "answers": answers,
        "account": items % 5,
        "item": items,
        "inputs": hook.deployed.inputs(items),
        "mark": [None] * len(answers),
    }


def _check_charges(part: Defense, hooks: Hooks) -> None:
    """Check that a charge is of a hook that is used, and is spent in a run as often as the hook is called."""
    name, charges = type(part).__name__, part.charges()
    unknown = [hook for hook in charges if hook not in READS]
    assert not unknown, f"{name} charges for {unknown}; hooks are {', '.join(READS)}"
    record = example_run(defenses={"part": part})[0]
    spent, outcome = record.defenses[0], record.outcome
    refused = sum(spent.refused.values())
    passed, answered = len(outcome) - refused, int((outcome == ANSWERED).sum())
    calls = {"admit": len(outcome), "rewrite": passed, "choose": passed, "transform": answered}
    calls |= {"release": len(outcome), "observe": len(outcome)}
    used = {hook: charges[hook] for hook in calls if hook in charges and getattr(hooks, hook)}
    for resource in ("cpu_s", "client_s"):
        due_s = sum(calls[hook] * getattr(charge, resource) for hook, charge in used.items())
        found_s = getattr(spent, resource)
        assert found_s >= due_s * (1 - 1e-9), f"{name} spends {found_s:g} of {resource}, and charges {due_s:g}"
    due_s = sum(
        record.batches.sum() * charge.gpu_batch_s + record.batched.sum() * charge.gpu_s for charge in used.values()
    )
    assert spent.gpu_s >= due_s * (1 - 1e-9), f"{name} spends {spent.gpu_s:g} of gpu_s, and charges {due_s:g}"


def _check_truth(part: Defense) -> None:
    """Check that a defense reads no truth about queries: with other labels of what is asked it does the same."""
    zoo = example_zoo()
    assert zoo.answers is not None
    data = zoo.answers.data
    labels, asked = data.labels.copy(), np.setdiff1d(np.arange(len(data.labels)), data.train)
    labels[asked] = (labels[asked] + 1) % data.classes
    garbled = Zoo(zoo.name, zoo.variants, replace(zoo.answers, data=replace(data, labels=labels)))
    runs = [example_run(defenses={"part": part}, zoo=one)[0] for one in (zoo, garbled)]
    for column in ("outcome", "variant", "delivered_s", "received_label", "distortion"):
        first, other = (getattr(run, column) for run in runs)
        same = np.array_equal(first, other, equal_nan=first.dtype.kind == "f")
        assert same, f"{type(part).__name__} reads the true labels of what it is asked ({column} differs)"
    assert len(runs[0].outcome) == QUERIES, f"{type(part).__name__} loses queries"


def _check_nothing(part: Defense) -> None:
    """Check that a defense without a hook in use is none at all."""
    runs = [example_run(defenses=defenses)[0] for defenses in ({"part": part}, {})]
    for column, value in vars(runs[1]).items():
        if isinstance(value, np.ndarray):
            same = np.array_equal(value, getattr(runs[0], column), equal_nan=value.dtype.kind == "f")
            assert same, f"{type(part).__name__} uses no hook, and changes {column}"
