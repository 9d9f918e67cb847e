"""Records that cross the border of a simulation."""

from sim.records.attack import AttackRecord, Backdoor, CloneQuality, Extraction, Fingerprint, Phase
from sim.records.run import Arrivals, DefenseRecord, Outage, RunRecord

__all__ = [
    "Arrivals",
    "RunRecord",
    "DefenseRecord",
    "Outage",
    "AttackRecord",
    "Backdoor",
    "CloneQuality",
    "Extraction",
    "Fingerprint",
    "Phase",
]
