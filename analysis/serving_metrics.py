"""The metrics of senders, of the workload and of the cluster: entries of the table of metrics."""

from __future__ import annotations

from analysis.definition import ATTACKERS, CLUSTER, SENDERS, WORKLOAD, Entry, Metric
from analysis.metrics import Queries, cost, energy_j, mean_batch_size, throughput_per_s
from analysis.percentiles import QUANTILES

COLLAPSE = 0.9
"""A run whose attainment is below this is called collapsed."""


def _collapsed(benign: Entry) -> float | None:
    attainment = benign["slo_attainment"]
    return None if attainment is None else float(attainment < COLLAPSE)


def _accuracy_in_time(benign: Entry) -> float | None:
    return benign["effective_accuracy"] / benign["slo_attainment"] if benign["slo_attainment"] else None


def _mean_ms(benign: Entry) -> float | None:
    seconds = benign["latency_s"]["mean"]
    return None if seconds is None else 1e3 * float(seconds)


def _percentile(name: str) -> Metric:
    """Define a percentile of latency; where the end of the run cut it off, what it is at least."""

    def read_ms(benign: Entry) -> float | None:
        seconds = benign["latency_at_least_s"].get(name, benign["latency_s"][name])
        return None if seconds is None else 1e3 * float(seconds)

    shown = name in {"p50", "p99"}
    about = f"{100 * QUANTILES[name]:g} % of the answered queries took at most this long, from sending to delivery"
    return Metric(
        f"{name}_ms", name, SENDERS, about, unit="ms", read=read_ms, quantile=name, in_run=shown, standard=shown
    )


SENT = (
    Metric("sent", "sent", SENDERS, "queries sent in the measured window"),
    Metric(
        "slo_attainment",
        "SLO attainment",
        SENDERS,
        "share of all sent that was answered by the deadline",
        measure=lambda queries: queries.slo_attainment,
        share=True,
        in_run=False,
    ),
    Metric(
        "slo_violation_rate",
        "SLO violations",
        SENDERS,
        "1 - the SLO attainment",
        measure=lambda queries: 1 - queries.slo_attainment,
        share=True,
        standard=True,
    ),
    Metric(
        "spec_goodput",
        "spec goodput",
        SENDERS,
        "share of all sent that a variant answered whose profile meets the original spec",
        measure=lambda queries: queries.share(queries.within_spec),
        share=True,
    ),
    Metric(
        "spec_goodput_of_answered",
        "spec goodput of answered",
        SENDERS,
        "the same over answered queries only, as some of the literature counts",
        measure=Queries.spec_goodput_of_answered,
        share=True,
        in_run=False,
    ),
    Metric(
        "deadline_goodput",
        "deadline goodput",
        SENDERS,
        "share of all sent that was answered by the deadline: the SLO attainment under its other name",
        measure=lambda queries: queries.slo_attainment,
        share=True,
        in_run=False,
    ),
    Metric(
        "goodput",
        "goodput",
        SENDERS,
        "share of all sent that was answered both within the spec and by the deadline",
        measure=lambda queries: queries.share(queries.good),
        share=True,
        standard=True,
    ),
    Metric(
        "goodput_per_s",
        "goodput",
        SENDERS,
        "answers within the spec and by the deadline, a second of the measured window",
        unit="/s",
        measure=Queries.goodput_per_s,
        digits=1,
    ),
    Metric(
        "effective_accuracy",
        "effective accuracy",
        SENDERS,
        "mean profiled accuracy over all sent, counting zero for a late or missing answer",
        measure=Queries.effective_accuracy,
        share=True,
    ),
    Metric(
        "accuracy_in_time",
        "accuracy in time",
        SENDERS,
        "mean profiled accuracy of the answers that were in time",
        read=_accuracy_in_time,
        share=True,
        in_run=False,
    ),
    Metric(
        "answer_accuracy",
        "answer accuracy",
        SENDERS,
        "share of answered items whose top label, as its client received it, is right",
        measure=Queries.answer_accuracy,
        share=True,
    ),
    Metric(
        "distortion_l1",
        "distortion (L1)",
        SENDERS,
        "mean L1 distance, from 0 to 2, of the class probabilities that clients received from the model's",
        measure=Queries.distortion_l1,
        in_run=False,
    ),
    Metric(
        "label_flips",
        "label flips",
        SENDERS,
        "share of the answers that defenses had in hand whose top label was no longer the model's",
        measure=Queries.label_flips,
        share=True,
        in_run=False,
    ),
    Metric(
        "jain_index",
        "Jain's index",
        SENDERS,
        "fairness of the answers between the accounts: 1 if all get as many, 1 / n if one gets all",
        measure=Queries.jain_index,
        share=True,
        in_run=False,
    ),
    Metric(
        "jain_index_by_demand",
        "Jain's index by demand",
        SENDERS,
        "the same of the share of its queries that each account has answered",
        measure=lambda queries: queries.jain_index(by_demand=True),
        share=True,
        in_run=False,
    ),
    Metric(
        "collapsed",
        "collapsed runs",
        SENDERS,
        f"whether the SLO attainment of the run is below {COLLAPSE}",
        read=_collapsed,
        share=True,
        counted=True,
        in_run=False,
    ),
    Metric(
        "mean_ms",
        "mean latency",
        SENDERS,
        "mean time of the answered queries, from sending to delivery",
        unit="ms",
        read=_mean_ms,
        in_run=False,
    ),
    *map(_percentile, QUANTILES),
    Metric(
        "attacker_attainment",
        "attacker's SLO attainment",
        ATTACKERS,
        "SLO attainment of all adversaries together",
        key="slo_attainment",
        share=True,
    ),
)
"""Metrics of a group of senders: of the benign users in a study, and of both groups in a run."""

SERVED = (
    Metric("rate_per_s", "rate", WORKLOAD, "mean rate of the arrivals, as it was asked for", unit="/s", digits=1),
    Metric("sent_per_s", "sent", WORKLOAD, "open-loop queries of the whole run, a second", unit="/s", digits=1),
    Metric(
        "capacity_per_s",
        "capacity",
        WORKLOAD,
        "rate at which the busiest worker group would compute all the time, in full batches and without defenses",
        unit="/s",
        digits=1,
    ),
    Metric("load", "load (rate over capacity)", WORKLOAD, "the rate over the capacity"),
    Metric(
        "utilization",
        "utilization",
        CLUSTER,
        "share of the time that its workers were kept that the busiest worker group computed",
        read=lambda cluster: max(cluster["group_utilization"].values()),
        share=True,
        in_run=False,
    ),
    Metric(
        "mean_batch",
        "mean batch",
        CLUSTER,
        "queries a batch, copies and votes among them",
        key="mean_batch_size",
        measure=mean_batch_size,
        digits=2,
    ),
    Metric(
        "copies",
        "copies",
        CLUSTER,
        "how often a query was in a batch that did not answer it: a hedge's slower copy, or an earlier vote",
        measure=lambda record: record.copies,
    ),
    Metric(
        "throughput_per_s",
        "answers",
        CLUSTER,
        "answers a second, of everybody and over the whole run",
        unit="/s",
        measure=throughput_per_s,
        digits=1,
    ),
    Metric(
        "cost", "cost", CLUSTER, "price of all workers for as long as they were kept", unit="$", measure=cost, digits=4
    ),
    Metric(
        "energy_j", "energy", CLUSTER, "energy of all workers, computing and idle", unit="J", measure=energy_j, digits=1
    ),
)
"""Metrics of the workload and of the cluster."""
