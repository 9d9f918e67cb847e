"""The judge: whatever it says of answers follows what clients received, and time that clients spent is theirs."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from conftest import cluster, queries

from adversaries import BackdoorUser, Budget, Campaign, CloneRecipe, OracleExtraction, Sybils, judge
from analysis.metrics import Queries
from experiments.conformance.example import example_zoo
from sim import Charge, Defense
from zoo import TRIGGERED

ZOO = example_zoo()
TABLE, TEST = ZOO.answers, ZOO.answers.data.test
BEST = 4
RECIPE = CloneRecipe("linear", "soft", 1)
BY_INPUT = {TABLE.data.inputs[item].tobytes(): item for item in range(120)}


@dataclass(frozen=True)
class Turning(Defense):
    """Give every label to the class ``by`` places further on: of all items, of even ones, of some accounts, in turn."""

    kind = "turning"
    plain = True
    by: int = 1
    which: str = "all"

    def transform(self, deployment):
        def all_turned(answers):
            return np.roll(answers, self.by, axis=1)

        def even_turned(answers, item):
            return np.where(item[:, None] % 2 == 0, np.roll(answers, self.by, axis=1), answers)

        def turned_for_thieves(answers, account):
            return np.where(account[:, None] >= 7, np.roll(answers, self.by, axis=1), answers)

        def dark_turned(answers, inputs):
            dark = inputs.reshape(len(inputs), -1).mean(axis=1) < 0.5
            return np.where(dark[:, None], np.roll(answers, self.by, axis=1), answers)

        return {"all": all_turned, "even": even_turned, "thieves": turned_for_thieves, "dark": dark_turned}[self.which]


@dataclass(frozen=True)
class InTurn(Defense):
    """Turn the label of every other answer."""

    kind = "in-turn"
    plain = False

    def state(self):
        return [0]

    def transform(self, deployment):
        def turned(answers):
            deployment.everyone[0] += 1
            return np.roll(answers, deployment.everyone[0] % 2, axis=1)

        return turned


@dataclass(frozen=True)
class Costly(Defense):
    """Have the client compute something at one of the hooks."""

    kind = "costly"
    plain = False
    hook: str = "admit"
    fixed: bool = True

    def charges(self):
        return {self.hook: Charge(client_s=0.25)} if self.fixed else {}

    def _taking(self, deployment, hook, said=None):
        if self.hook != hook:
            return None

        def taking():
            if not self.fixed:
                deployment.spend(client_s=0.25)
            return said

        return taking

    def admit(self, deployment):
        return self._taking(deployment, "admit")

    def release(self, deployment):
        return self._taking(deployment, "release", 0.0)

    def transform(self, deployment):
        if self.hook != "transform":
            return None

        def taking(answers):
            if not self.fixed:
                deployment.spend(client_s=0.25)
            return answers

        return taking


def attack(adversary, *defenses, arrivals=None, clone=None):
    named = {f"d{number}": defense for number, defense in enumerate(defenses)}
    given = queries([]) if arrivals is None else arrivals
    built = cluster(ZOO, given, closed_loop=adversary.budget.queries, defenses=named)
    campaign = Campaign("thief", adversary, 7, ZOO, 1)
    campaign.launch(built)
    built.env.run(until=500.0)
    campaign.notes.clone = clone
    record = built.record(attackers=dict.fromkeys(campaign.accounts, "thief"))
    return judge(campaign, record, RECIPE), record


def saying(turned_by, turned=lambda item: True):
    """Return a clone that says what the best model does, with the labels of some items turned."""

    def predict(inputs):
        items = [BY_INPUT[row.tobytes()] for row in inputs]
        rows = [np.roll(TABLE.probabilities[BEST, i], turned_by if turned(i) else 0) for i in items]
        return np.array(rows, np.float32)

    return predict


EVEN = (TEST % 2 == 0).mean()
DARK = (TABLE.data.inputs[TEST].reshape(len(TEST), -1).mean(axis=1) < 0.5).mean()


@pytest.mark.parametrize(
    ("defenses", "clone", "share"),
    [
        ((), saying(0), 1.0),
        ((Turning(),), saying(0), 0.0),
        ((Turning(),), saying(1), 1.0),
        ((Turning(), Turning(2)), saying(3), 1.0),
        ((Turning(which="even"),), saying(0), 1 - EVEN),
        ((Turning(which="even"),), saying(1, lambda item: item % 2 == 0), 1.0),
        ((Turning(which="thieves"),), saying(1), 1.0),
        ((Turning(which="dark"),), saying(0), 1 - DARK),
    ],
)
def test_fidelity_to_the_service_is_to_what_clients_receive(defenses, clone, share):
    assert 0 < EVEN < 1
    assert 0 < DARK < 1
    judged, _ = attack(OracleExtraction(budget=Budget(30)), *defenses, clone=clone)
    own = judged.extraction.own_clone
    assert own.service_fidelity == pytest.approx(share)
    said = np.argmax(clone(TABLE.data.inputs[TEST]), axis=1)
    assert own.fidelity == (said == TABLE.top_labels()[BEST, TEST]).mean()  # that to the target is to the model
    assert not any("leaves out" in note for note in judged.notes)


def test_a_defense_that_answers_by_its_state_is_said_to_be_left_out():
    judged, record = attack(OracleExtraction(budget=Budget(40)), InTurn(), clone=saying(0))
    assert judged.extraction.own_clone.service_fidelity == 1.0
    assert "fidelity to the service leaves out defense d0, which changes answers by its state" in judged.notes
    tops = TABLE.top_labels()[BEST, record.item]
    assert (record.received_label == tops).mean() == 0.5  # while the answers themselves are as they were received
    judged, _ = attack(BackdoorUser(label=1, budget=Budget(40), latency_bound_s=0.05), InTurn())
    assert "expected success leaves out defense d0, which changes answers by its state" in judged.notes


@pytest.mark.parametrize("by", [0, 1, 2])
@pytest.mark.parametrize("label", [1, 3])
def test_a_backdoor_succeeds_where_the_client_receives_the_label(by, label):
    adversary = BackdoorUser(label=label, budget=Budget(600), fingerprinting=False, latency_bound_s=0.05)
    judged, record = attack(adversary, *([Turning(by)] if by else []))
    tops = (TABLE.top_labels() + by) % 4
    rows = np.flatnonzero(record.account == 7)
    wanted = tops[record.variant[rows], record.item[rows]] == label
    found = judged.backdoor
    assert (found.sent, found.turned) == (600, wanted.sum())
    shares = (tops[:, TABLE.data.pools[TRIGGERED]] == label).mean(axis=1)
    expected = shares.mean()  # random among all five, which are feasible
    assert found.expected == pytest.approx(expected, abs=4 * np.sqrt(shares.var() / 20_000))
    assert abs(found.success - expected) < 4 * np.sqrt(expected * (1 - expected) * (1 / 600 + 1 / 20_000))


def test_accuracy_follows_with_them():
    items = np.arange(40, 80, dtype=np.int32)
    arrivals = replace(queries(np.arange(40.0), accuracy=0.9, latency_s=1.0), item=items)
    for by in (0, 1):
        share = ((TABLE.top_labels()[BEST, items] + by) % 4 == TABLE.data.labels[items]).mean()
        _, record = attack(OracleExtraction(budget=Budget(5)), *([Turning(by)] if by else []), arrivals=arrivals)
        assert Queries(record, ~record.attacking).answer_accuracy() == share


@pytest.mark.parametrize("hook", ["admit", "transform", "release"])
@pytest.mark.parametrize("fixed", [True, False])
def test_what_clients_were_asked_to_compute_is_their_own(hook, fixed):
    """Two Sybils send forty queries, other users ten: 0.25 s each, whichever hook asks for it and how."""
    items = np.arange(40, 50, dtype=np.int32)
    arrivals = replace(queries(np.linspace(0.0, 9.0, 10), accuracy=0.9, latency_s=1.0), item=items)
    adversary = OracleExtraction(budget=Budget(40), sybils=Sybils(2))
    judged, record = attack(adversary, Costly(hook, fixed), arrivals=arrivals)
    assert judged.solve_s == pytest.approx(40 * 0.25)
    assert record.clients_s == pytest.approx({0: 2.5, 7: 5.0, 8: 5.0})
    assert sum(record.clients_s.values()) == pytest.approx(record.defenses[0].client_s)


def test_nothing_is_computed_for_nothing():
    judged, record = attack(OracleExtraction(budget=Budget(5)), Turning())
    assert judged.solve_s == 0.0
    assert record.clients_s == {}
