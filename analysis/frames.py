"""The tables of a results folder as DataFrames: one row a query, and one row a query of an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.metrics import deadlines_s, everything
from sim import OUTCOMES, AttackRecord, RunRecord


def requests_frame(record: RunRecord) -> pd.DataFrame:
    """Return one row a query; times in seconds, accuracies as fractions, price in dollars.

    ``in_time`` says whether it was answered by ``deadline_s``, and ``within_spec`` whether by a variant whose profile
    meets the original spec; shares of these, and of both, are the goodputs of the summary.
    """
    queries = everything(record)
    return pd.DataFrame(
        {
            "query": np.arange(len(record.account), dtype=np.int32),
            "account": record.account,
            "group": _named(record.attacking.astype(np.int8), ("benign", "attacker")),
            "priority": record.priority,
            "item": record.item,
            "sent_s": record.sent_s,
            "arrived_s": record.arrived_s,
            "started_s": record.started_s,
            "finished_s": record.finished_s,
            "delivered_s": record.delivered_s,
            "min_accuracy": record.min_accuracy,
            "max_latency_s": record.max_latency_s,
            "rewritten_min_accuracy": record.rewritten_min_accuracy,
            "rewritten_max_latency_s": record.rewritten_max_latency_s,
            "variant": _named(record.variant, [variant.name for variant in record.zoo.variants]),
            "worker": _named(record.worker, record.workers),
            "batch_size": record.batch_size,
            "outcome": _named(record.outcome, OUTCOMES),
            "price": record.price,
            "received_label": record.received_label,
            "deadline_s": deadlines_s(record),
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
