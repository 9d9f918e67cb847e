"""What perf_analyzer and Model Analyzer measured, read as profiles of models whose accuracy must be given."""

import json

import pytest
from typer.testing import CliRunner

from experiments import load, run
from experiments.cli import app
from zoo import ZooError, load_table, read_profiles, read_zoo
from zoo.profilers import zoo_of

PERF = (  # as published, in the order of throughput
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,Server "
    "Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
    "3,84.2,237,1768,21673,209,11742,17,0,35398,43984,47085,51701\n"
    "1,69.2,225,2148,64,206,11781,19,0,13891,18795,19753,21018\n"
    "2,87.2,235,1973,9151,190,11346,17,0,21874,28557,29768,34766\n"
)
PERF_OLD = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency\n1,160.8,68,1291,38,4801,7,6212,6289,6328,7407\n"
)
PERF_RATE = (
    "Request Rate,Inferences/Second,Client Send,p50 latency,p90 latency,p95 latency,p99 latency,Avg latency\n"
    "200,199.1,68,7212,7289,7328,8407,7100\n100,99.8,68,6212,6289,6328,7407,6100\n"
)
PERF_BATCHES = (
    "Batch Size,"
    + PERF.splitlines()[0]
    + "\n"
    + "".join(
        f"{size},1,69.2,225,2148,64,{200 * size},{1000 + 500 * size},{10 * size},0,13891,18795,19753,21018\n"
        for size in (1, 2, 8)
    )
)
MODELS = (
    "Model,Batch,Concurrency,Model Config Path,Instance Group,Preferred Batch Sizes,Satisfies Constraints,"
    "Throughput (infer/sec),p99 Latency (ms),RAM Usage (MB)\n"
    "resnet50_libtorch,1,2,resnet50_libtorch_i0,1/GPU,[32],Yes,195.0,11.0,2897.0\n"
    "resnet50_libtorch,1,1,resnet50_libtorch_i0,1/GPU,[32],Yes,164.0,8.1,2937.0\n"
)
MODELS_MORE = (
    'Model,Batch,Concurrency,Model Config Path,Instance Group,Satisfies Constraints,Throughput (infer/sec),"'
    'p99 Latency (ms)",Server Compute Infer time (ms),Server Compute Input time (ms),GPU Memory Usage (MB)\n'
    "a,1,1,a_0,1:GPU,Yes,195.0,11.0,2.1,0.1,1099.0\na,4,1,a_0,1:GPU,Yes,195.0,15.0,4.4,0.2,1200.0\n"
    "a,1,1,a_1,2:CPU,Yes,195.0,90.0,70.5,0.5,0\n"
)  # fmt: skip


def written(folder, text, name="perf.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_perf_analyzer_counts_in_microseconds(tmp_path):
    (found,) = read_profiles(written(tmp_path, PERF, "inception.csv"))
    assert (found.model, found.device, found.memory_bytes) == ("inception", "gpu", None)
    assert found.latency.batch_sizes == (1,)
    assert found.latency.latencies_s == (0.012006,)  # 206 + 11,781 + 19 us of the row of one client
    assert found.notes == (
        "time of a batch: Server Compute Input + Server Compute Infer + Server Compute Output",
        "the file names no batch size: 1 is taken",
        "one batch size: other batches are taken to cost in proportion to their size",
    )
    (eight,) = read_profiles(written(tmp_path, PERF), batch=8)
    assert (eight.latency.batch_sizes, eight.latency.latencies_s) == ((8,), (0.012006,))


def test_older_and_other_columns_of_perf_analyzer(tmp_path):
    (old,) = read_profiles(written(tmp_path, PERF_OLD))
    assert old.latency.latencies_s == (0.004801,)
    (rate,) = read_profiles(written(tmp_path, PERF_RATE))
    assert rate.latency.latencies_s == (0.0061,)
    assert rate.notes[:2] == ("time of a batch: Avg latency", "rows of the lowest request rate (100) are taken")
    (nothing_told,) = read_profiles(written(tmp_path, PERF_OLD.replace("4801", "0")))
    assert nothing_told.latency.latencies_s == (0.006212,)
    (batches,) = read_profiles(written(tmp_path, PERF_BATCHES))
    assert batches.latency.batch_sizes == (1, 2, 8)
    assert batches.latency.latencies_s == (0.00171, 0.00242, 0.00668)
    assert len(batches.notes) == 1


def test_model_analyzer_counts_in_milliseconds_and_names_models(tmp_path):
    (found,) = read_profiles(written(tmp_path, MODELS))
    assert (found.model, found.device, found.memory_bytes) == ("resnet50_libtorch", "gpu", None)
    assert (found.latency.batch_sizes, found.latency.latencies_s) == ((1,), (0.0081,))
    assert found.notes[0] == "time of a batch: p99 Latency (ms)"
    one, two = read_profiles(written(tmp_path, MODELS_MORE))
    assert (one.model, one.device, one.memory_bytes) == ("a_0", "gpu", 1.2e9)
    assert (one.latency.batch_sizes, one.latency.latencies_s) == ((1, 4), (0.0022, 0.0046))
    assert (two.model, two.device, two.latency.latencies_s) == ("a_1", "cpu", (0.071,))


def test_other_files_are_no_measurements(tmp_path):
    own = "model,device,accuracy,memory_mib,batch,latency_ms\na,gpu,0.5,1,1,2\n"
    for text in (own, "", "a,b\n1,2\n"):
        assert read_profiles(written(tmp_path, text)) is None


def test_a_run_says_what_is_missing(tmp_path):
    path = written(tmp_path, PERF)
    with pytest.raises(ZooError) as caught:
        read_zoo(path)
    assert "holds what perf_analyzer measured, and no accuracy, which a run needs; `siegelab zoo" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ZooError, match="holds what Model Analyzer measured"):
        load_table(str(written(tmp_path, MODELS)))


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ({}, "no accuracy of resnet50_libtorch, which a run needs; give it as resnet50_libtorch=0.76"),
        ({"other": 0.5}, "found accuracy of 'other'; its models are resnet50_libtorch"),
        ({"resnet50_libtorch": 1.5}, r"accuracy must be in \[0, 1\]"),
    ],
)
def test_accuracies_are_given_for_the_models_that_there_are(accuracies, message, tmp_path):
    path = written(tmp_path, MODELS)
    with pytest.raises(ZooError, match=message):
        zoo_of(path, read_profiles(path), accuracies)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PERF.splitlines()[0] + "\n", "no measurement in it"),
        (PERF.replace("11781", "fast"), ":3: column Server Compute Infer: found 'fast'; expected a number of at"),
        (PERF.replace("11781", "nan"), ":3: column Server Compute Infer: found 'nan'"),
        (PERF.replace("11781", "-5"), ":3: column Server Compute Infer: found '-5'"),
        (PERF.replace("1,69.2", "one,69.2"), ":3: column Concurrency: found 'one'"),
        (PERF.replace(",21018", ""), ":3: 12 columns; expected 13"),
        (MODELS.replace("8.1", "0"), ":3: column p99 Latency (ms): found '0'; expected a time above 0"),
        (MODELS.replace("torch,1,1,", "torch,1.5,1,"), ":3: column Batch: found '1.5'; expected a whole number from 1"),
        (MODELS.replace("torch,1,1,", "torch,0,1,"), ":3: column Batch: found '0'; expected a whole number from 1"),
        (MODELS.replace("8.1", ""), ":3: no latency in it; expected columns of server compute or of latency"),
        (PERF.replace("11781", "9" * 200_000), "cannot be read as CSV"),
    ],
)  # fmt: skip
def test_a_wrong_measurement_gets_one_line(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ZooError) as caught:
        read_profiles(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# --- the command ------------------------------------------------------------------------------------------------------


def call(*words):
    return CliRunner().invoke(app, ["zoo", *map(str, words)])


def test_the_command_shows_measured_models_and_what_they_lack(tmp_path):
    path = written(tmp_path, MODELS)
    shown = call(path)
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    assert "accuracy is not in the file, and a run needs it: --accuracy MODEL=0.76 --out zoo.csv" in text
    assert "unknown" in text
    (entry,) = json.loads(call(path, "--json").stdout)
    assert entry == {
        "model": "resnet50_libtorch",
        "device": "gpu",
        "accuracy": None,
        "memory_bytes": None,
        "latency_s": {"1": 0.0081, "8": pytest.approx(0.0648), "32": pytest.approx(0.2592)},
        "on_front": None,
    }


def test_with_accuracies_the_command_writes_a_zoo_that_runs_serve(tmp_path):
    path, out = written(tmp_path, MODELS_MORE), tmp_path / "zoo.csv"
    shown = call(path, "--accuracy", "a_0=0.76", "--accuracy", "a_1=0.80", "--out", out)
    assert shown.exit_code == 0, shown.output
    zoo = load_table(str(out))
    assert [v.name for v in zoo.variants] == ["a_0@gpu", "a_1@cpu"]
    assert zoo.accuracies.tolist() == [0.76, 0.8]
    assert zoo.latencies_s.tolist() == pytest.approx([0.0022, 0.071])
    before = out.read_bytes()
    assert call(path, "--accuracy", "a_0=0.7", "--accuracy", "a_1=0.8", "--out", out).exit_code == 2
    assert out.read_bytes() == before
    changes = {
        "zoo.table": str(out),
        "cluster": {"all": {"count": 1, "device": "gpu"}, "slow": {"count": 1, "device": "cpu"}},
        "workload.arrivals": {"kind": "poisson", "rate": 5.0},
        "run.duration_s": 5.0,
        "adversary.thief.budget.queries": 0,
    }
    assert run(load("psml", changes)).summary.benign.outcomes["answered"] > 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--accuracy", "x"], "--accuracy: found 'x'; expected MODEL=FRACTION once each"),
        (["--accuracy", "x=2"], "--accuracy: found 'x=2'"),
        (["--accuracy", "x=nan"], "--accuracy: found 'x=nan'"),
        (["--accuracy", "x=0.5"], "found accuracy of 'x'"),
        (["--out", "z.csv"], "--out: "),
    ],
)
def test_wrong_options_get_one_line(words, message, tmp_path):
    result = call(written(tmp_path, PERF), *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "z.csv").exists()


def test_accuracies_of_a_zoo_are_not_overruled():
    result = call("psml-cifar10", "--accuracy", "x=0.5")
    assert result.exit_code == 2
    assert "tells its accuracies" in " ".join(result.output.split())
