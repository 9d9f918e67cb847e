"""The tables of a results folder as DataFrames: one row a query, and one row a query of an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.metrics import deadlines_s, everything
from sim import OUTCOMES, AttackRecord, RunRecord


def requests_frame(record: RunRecord, rows: slice = slice(None)) -> pd.DataFrame:
    """Return one row a query; times in seconds, accuracies as fractions, price in dollars.

    ``in_time`` says whether it was answered by ``deadline_s``, and ``within_spec`` whether by a variant whose profile
    meets the original spec; shares of these, and of both, are the goodputs of the summary.

    Args:
        record: the run.
        rows: which of its queries.
    """
    part = record.part(rows)
    queries = everything(part)
    return pd.DataFrame(
        {
            "query": np.arange(len(record.account), dtype=np.int32)[rows],
            "account": part.account,
            "group": _named(part.attacking.astype(np.int8), ("benign", "attacker")),
            "priority": part.priority,
            "item": part.item,
            "sent_s": part.sent_s,
            "arrived_s": part.arrived_s,
            "started_s": part.started_s,
            "finished_s": part.finished_s,
            "delivered_s": part.delivered_s,
            "min_accuracy": part.min_accuracy,
            "max_latency_s": part.max_latency_s,
            "rewritten_min_accuracy": part.rewritten_min_accuracy,
            "rewritten_max_latency_s": part.rewritten_max_latency_s,
            "variant": _named(part.variant, [variant.name for variant in part.zoo.variants]),
            "worker": _named(part.worker, part.workers),
            "batch_size": part.batch_size,
            "outcome": _named(part.outcome, OUTCOMES),
            "price": part.price,
            "received_label": part.received_label,
            "deadline_s": deadlines_s(part),
            "in_time": queries.in_time,
            "within_spec": queries.within_spec,
        }
    )


def attacks_frame(record: RunRecord, attacks: Sequence[AttackRecord]) -> pd.DataFrame:
    """Return one row a query of an adversary: which, in which phase, and whether the target's model answered."""
    parts = [_attack_frame(record, attack) for attack in attacks]
    columns = {"query": "int32", "adversary": "str", "phase": "str", "sent_s": "float64", "from_target": "bool"}
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
    return frame.astype(columns)


def _attack_frame(record: RunRecord, attack: AttackRecord) -> pd.DataFrame:
    rows = np.array(attack.queries, dtype=np.int32)
    phase = np.full(len(rows), "", dtype=object)
    for part in attack.phases:
        phase[part.first_query : part.first_query + part.queries] = part.name
    target = attack.extraction.target if attack.extraction else None
    hits = [v for v, variant in enumerate(record.zoo.variants) if variant.model == target]
    answered = record.outcome[rows] == OUTCOMES.index("answered")
    return pd.DataFrame(
        {
            "query": rows,
            "adversary": attack.name,
            "phase": phase,
            "sent_s": record.sent_s[rows],
            "from_target": np.isin(record.variant[rows], hits) & answered,
        }
    )


def _named(codes: NDArray[Any], names: Sequence[str]) -> Any:
    return pd.Categorical.from_codes(codes.astype(np.int16), pd.Index(list(names)))
