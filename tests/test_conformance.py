"""Every exported part keeps its contract, and a part that breaks one is told so."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import adversaries
import policies
import sim
import workloads
from experiments.conformance import check
from policies import (
    Fifo,
    Greedy,
    LatencyPadding,
    QueryBudget,
    RandomFeasible,
    RateLimit,
    Rounding,
    RoundRobin,
)
from sim import Admission, Charge, Defense, Jitter, Routing, Selection
from sim.contracts import Part
from workloads import Poisson

EXPORTED = [
    part
    for package in (sim, workloads, policies, adversaries)
    for part in (getattr(package, name) for name in package.__all__)
    if isinstance(part, type) and issubclass(part, Part) and hasattr(part, "kind")
]
NEEDY = {  # parameters without defaults; varied or checked below
    workloads.ServeGenClients,
    workloads.ZipfAccounts,
    policies.StaticVariant,
    sim.Crash,
    sim.SlowDown,
    sim.LinkLoss,
    sim.FrontendRestart,
    sim.ModelWithdrawal,
}
VARIED = [
    Rounding(8),  # defenses without strength are none
    QueryBudget(float("inf")),
    RateLimit(float("inf")),
    LatencyPadding(0.0, 0.0),
    policies.Greedy(1),
    policies.LaplaceNoise(0.0),
    policies.LaplaceNoise(0.5),
    *(
        policies.ExponentialMechanism(epsilon, score)
        for epsilon in (0.0, 3.0)
        for score in ("goodput", "l1", "quantile")
    ),
    workloads.Gamma(cv=3.0),
    workloads.Gamma(cv=0.4),
    workloads.Weibull(cv=4.0),
    workloads.Superposition(parts=(workloads.Poisson(2.0), workloads.OnOff(6.0))),
    workloads.Batches(of=workloads.Gamma(cv=2.0), mean_size=7.0),
    workloads.Diurnal(period_s=30.0, levels=(1.0, 4.0, 2.0)),
    workloads.FixedSpec(0.6, 0.02),
    workloads.Products(of=(workloads.FixedSpec(0.6, 0.02), workloads.UniformFeasible()), weights=(1.0, 2.0)),
    workloads.WithInfeasible(share=1.0),
    workloads.ItemsOfLabels((1, 2)),
    workloads.ZipfAccounts(rate=30.0),
    adversaries.FingerprintThenExtract(target="median", latency_bound_s=0.02, fingerprint_share=1.0),
    adversaries.NaiveExtraction(latency_bound_s=0.006),
    adversaries.OracleExtraction(target="fastest"),
]


@pytest.mark.parametrize("part", [*(part() for part in EXPORTED if part not in NEEDY), *VARIED], ids=repr)
def test_exported_parts_keep_their_contracts(part):
    check(part)


def test_measured_clients_keep_the_contract_too(tmp_path):
    (tmp_path / "chunk-0-trace.csv").write_text("0,2.5,1.5,Gamma,0,0\n")
    check(workloads.ServeGenClients(str(tmp_path)))


def test_every_contract_has_an_exported_part_and_kinds_are_unique():
    assert len(EXPORTED) >= 30
    for contract in {base for part in EXPORTED for base in part.__mro__ if base in Part.__subclasses__()}:
        names = [part.kind for part in EXPORTED if issubclass(part, contract)]
        assert len(set(names)) == len(names), contract


@dataclass(frozen=True)
class Infeasible(Selection):
    kind = "infeasible"

    def chooser(self, zoo):
        return lambda accuracy, latency_s, uniform: np.zeros(np.shape(accuracy), dtype=int)


@dataclass(frozen=True)
class Forgetful(RandomFeasible):
    kind = "forgetful"

    def chooser(self, zoo):
        rng, inner = np.random.default_rng(1), RandomFeasible().chooser(zoo)
        return lambda accuracy, latency_s, uniform: inner(accuracy, latency_s, rng.random(np.shape(uniform)))


@dataclass(frozen=True)
class Greedier(Greedy):
    kind = "greedier"

    @property
    def timeout_s(self):
        return -1.0


@dataclass(frozen=True)
class Lost(Routing):
    kind = "lost"

    def router(self, hosts, rng, clock):
        return lambda variant: hosts[0][0]


@dataclass(frozen=True)
class Slow(Jitter):
    kind = "slow"

    def multipliers(self, rng):
        return iter(lambda: 1.5 + rng.random() / 10, None)


@dataclass(frozen=True)
class Mutating(Defense):
    kind = "mutating"

    def rewrite(self, deployment):
        def shifted(min_accuracy, max_latency_s):
            min_accuracy += 0.1
            return min_accuracy, max_latency_s

        return shifted


@dataclass(frozen=True)
class Shortsighted(Admission):
    kind = "shortsighted"

    def gate(self):
        return lambda acount: None


@dataclass(frozen=True)
class Hookless(Defense):
    kind = "hookless"


@dataclass(frozen=True)
class Misspelt(Rounding):
    kind = "misspelt"

    def transfrom(self, deployment):
        return None


@dataclass(frozen=True)
class Curious(Defense):
    kind = "curious"

    def admit(self, deployment):
        return lambda acount: None


@dataclass(frozen=True)
class Overflowing(Defense):
    kind = "overflowing"

    def transform(self, deployment):
        return lambda answers: answers * 2


@dataclass(frozen=True)
class Spoiling(Defense):
    kind = "spoiling"

    def transform(self, deployment):
        def reversed_in_place(answers):
            answers[:] = answers[:, ::-1].copy()
            return answers

        return reversed_in_place


@dataclass(frozen=True)
class Flipping(Defense):
    kind = "flipping"
    keeps_top_label = True

    def transform(self, deployment):
        return lambda answers: answers[:, ::-1]


@dataclass(frozen=True)
class Farther(Flipping):
    kind = "farther"
    keeps_top_label = False
    most_l1 = 0.5


@dataclass(frozen=True)
class Averaging(Defense):
    kind = "averaging"

    def transform(self, deployment):
        return lambda answers: np.broadcast_to(answers.mean(axis=0), answers.shape)


@dataclass(frozen=True)
class Omniscient(Defense):
    kind = "omniscient"

    def transform(self, deployment):
        data = deployment.zoo.answers.data
        return lambda answers, item: np.eye(data.classes)[data.labels[item]]


@dataclass(frozen=True)
class Generous(Defense):
    kind = "generous"

    def charges(self):
        return {"admitt": Charge(cpu_s=1.0)}

    def admit(self, deployment):
        return lambda: None


@dataclass(frozen=True)
class Leaky(Fifo):
    kind = "leaky"

    def queues(self, keys, accounts, priorities):
        class Leak(Fifo().queues([], [], [])):
            def append(self, row):
                if row != 3:
                    super().append(row)

        return Leak


@dataclass(frozen=True)
class Endless(Poisson):
    kind = "endless"

    def times(self, rng, duration_s):
        return super().times(rng, duration_s * 2)


@dataclass
class Thawed(RoundRobin.__mro__[1]):
    kind = "thawed"

    def router(self, hosts, rng, clock):
        return RoundRobin().router(hosts, rng, clock)


@dataclass(frozen=True)
class Stranger(Part):
    kind = "stranger"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Infeasible(), "not feasible|exactly where"),
        (Forgetful(), "in two ways"),
        (Greedier(), "timeout_s must be at least 0"),
        (Lost(), "does not host its variant"),
        (Slow(), "does not have mean 1"),
        (Mutating(), "changes its inputs"),
        (Shortsighted(), "gate of Shortsighted reads 'acount' .did you mean account"),
        (Hookless(), "has no hook; a defense has at least one of"),
        (Misspelt(), "Misspelt.transfrom is no hook and never called; did you mean transform"),
        (Curious(), "reads 'acount' .did you mean account"),
        (Overflowing(), "do not add up to 1"),
        (Spoiling(), "changes its inputs"),
        (Flipping(), "promises to keep the top label"),
        (Farther(), "promises an L1 distance of 0.5"),
        (Averaging(), "say plain = False if it keeps state"),
        (Omniscient(), "reads the true labels"),
        (Generous(), "charges for .'admitt'."),
        (Leaky(), "lost or served twice"),
        (Endless(), "goes on after the end"),
        (Thawed(), "is not frozen"),
        (Stranger(), "implements no contract"),
        (Fifo, "is no part; give an object of a class"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_a_part_that_breaks_its_contract_is_told_so(part, message):
    with pytest.raises(AssertionError, match=message):
        check(part)


def test_parts_are_values():
    assert policies.Greedy(4) == policies.Greedy(4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policies.Greedy(4).max_batch = 5
