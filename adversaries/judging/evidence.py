"""Evidence: what defenses say of every suspect when the run is over, their audits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from adversaries.judging.judge import Verdict
from sim.gateway.hooks import Hooks

Evidence = dict[str, dict[str, dict[str, float]]]
"""Values by the name of a defense, of a suspect, and of what the defense measured."""


def evidence(hooks: Hooks, verdicts: Iterable[Verdict]) -> Evidence:
    """Let every defense that audits look at every adversary, with the clone that he trained, if he did.

    Args:
        hooks: of the run.
        verdicts: one an adversary.

    Raises:
        ValueError: if an audit returns anything but finite numbers by name.
    """
    found: Evidence = {hook.name: {} for hook in hooks.audit}
    for verdict in verdicts:
        for hook in hooks.audit:
            said = hook({"suspect": verdict.attack.name, "clone": verdict.clone})
            found[hook.name][verdict.attack.name] = checked(hook.deployed.defense.kind, said)
    return found


def checked(kind: str, said: object) -> dict[str, float]:
    """Return what an audit of a kind of defense has said as numbers by name; see ``evidence``."""
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        raise ValueError(f"audit of {kind} must return numbers by name, not {type(said).__name__}")
    try:
        numbers = {name: float(value) for name, value in said.items()}
    except (TypeError, ValueError):
        raise ValueError(f"audit of {kind} must return numbers by name, not {said!r:.80}") from None
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ValueError(f"audit of {kind} must return finite numbers, not {value} for {name}")
    return numbers
