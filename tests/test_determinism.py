"""Same scenario, same seed, same bytes; and one source of queries never disturbs another."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments import load, results, run
from sim.gateway import answering

SHORT = {
    "run.duration_s": 6.0,
    "run.warmup_s": 1.0,
    "adversary.thief.start_s": 0.5,
    "adversary.thief.budget.queries": 120,
}


@pytest.fixture(scope="module")
def trained():
    from zoo.builtin import builtin_zoo

    return builtin_zoo("digits")


def test_two_processes_write_the_same_bytes(tmp_path, trained):
    written = []
    for number, hash_seed in enumerate(("0", "1", "12345")):
        out = tmp_path / str(number)
        overrides = [part for path, value in SHORT.items() for part in ("--set", f"{path}={value}")]
        command = [sys.executable, "-c", "from experiments.cli import main; main()", "run", "quickstart"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        subprocess.run([*command, *overrides, "--out", str(out)], check=True, capture_output=True, env=environment)
        written.append(
            {name: (out / name).read_bytes() for name in ("requests.parquet", "summary.json", "attacks.parquet")}
        )
    assert written[0] == written[1] == written[2]


def test_the_scenario_written_with_the_results_reproduces_them(tmp_path, trained):
    from experiments.results import Folder, save

    first = run(load("quickstart", SHORT))
    save(first, tmp_path / "a")
    save(run(load(str(tmp_path / "a" / "scenario.toml"))), tmp_path / "b")
    for name in ("requests.parquet", "summary.json", "scenario.toml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert Folder(tmp_path / "a").summary["seed"] == 1


def benign(result):
    frame = result.requests
    return frame[frame["group"] == "benign"].reset_index(drop=True)


def test_an_attacker_without_budget_changes_no_benign_row(trained):
    with_thief = load("quickstart", SHORT | {"adversary.thief.budget.queries": 0})
    without = load("quickstart", SHORT)
    without = type(without)(**{**vars(without), "adversary": {}})
    assert not without.adversary
    one, other = benign(run(with_thief)), benign(run(without))
    assert one.equals(other)
    assert len(one) > 1000


def test_an_attacker_with_a_budget_changes_no_benign_arrival_spec_or_choice(trained):
    one = benign(run(load("quickstart", SHORT)))
    other = benign(run(load("quickstart", SHORT | {"adversary.thief.budget.queries": 0})))
    drawn = ["account", "item", "sent_s", "min_accuracy", "max_latency_s", "rewritten_min_accuracy", "variant"]
    assert one[drawn].equals(other[drawn])
    assert not one.equals(other)  # but it shares their queues


def test_policies_are_compared_under_the_same_arrivals(trained):
    # A load means another rate under another selection policy; a rate is a rate.
    workload = {"arrivals": {"kind": "gamma", "rate": 700.0, "cv": 2.0}}
    one = benign(run(load("quickstart", SHORT | {"workload": workload})))
    other = benign(
        run(
            load(
                "quickstart",
                SHORT | {"workload": workload, "policy.discipline": "fifo", "policy.selection": "fastest-feasible"},
            )
        )
    )
    assert one[["sent_s", "account", "item", "min_accuracy"]].equals(
        other[["sent_s", "account", "item", "min_accuracy"]]
    )
    assert not one["variant"].equals(other["variant"])


def test_no_noise_is_no_defense_byte_for_byte(trained):
    silent = run(load("quickstart", SHORT | {"defense.spec_noise.scale": 0.0}))
    scenario = load("quickstart", SHORT)
    undefended = run(type(scenario)(**{**vars(scenario), "defense": {}}))
    assert silent.requests.equals(undefended.requests)
    assert silent.summary.benign == undefended.summary.benign
    assert silent.summary.attacks == undefended.summary.attacks


def test_another_seed_is_another_run(trained):
    one, other = (run(load("quickstart", SHORT | {"seed": seed})) for seed in (1, 2))
    assert not np.array_equal(one.record.sent_s[:100], other.record.sent_s[:100])


SMALL = {"run.duration_s": 3.0, "run.warmup_s": 0.0, "adversary.thief.budget.queries": 20}


def test_the_table_of_requests_is_the_same_in_groups_of_any_size(tmp_path, monkeypatch):
    result = run(load("quickstart", SMALL))
    whole = result.requests
    rows = len(whole)
    for size in (1 + rows // 7, rows - 1, rows, rows + 1):
        monkeypatch.setattr(results, "ROWS_PER_GROUP", size)
        results.write_run(result, tmp_path)
        file = pq.ParquetFile(tmp_path / "requests.parquet")
        assert file.num_row_groups == -(-rows // size)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "requests.parquet"), whole)


@pytest.mark.parametrize("defense", [{}, {"kind": "label-only", "cpu_s": 0.0}])
def test_what_users_receive_is_the_same_in_blocks_of_any_size(defense, monkeypatch):
    asked = SMALL | ({"defense.one": defense} if defense else {})
    whole = run(load("quickstart", asked)).record
    assert len(set(whole.received_label.tolist())) > 5
    for size in (7, len(whole.outcome) - 1):
        monkeypatch.setattr(answering, "ROWS_PER_BLOCK", size)
        record = run(load("quickstart", asked)).record
        assert np.array_equal(record.received_label, whole.received_label)
        assert np.array_equal(record.distortion, whole.distortion, equal_nan=True)
