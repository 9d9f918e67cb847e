"""The public face of SiegeLab: what a script imports, loaded when it is first used.

```python
from siegelab import load, run
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from siegelab.siblings import find_siblings

if TYPE_CHECKING:
    from experiments import Policy, Result, RunSettings, Scenario, ScenarioError, ZooChoice, load, run

__version__ = "0.1.0"
__all__ = ["load", "run", "Result", "Scenario", "ScenarioError", "RunSettings", "Policy", "ZooChoice"]

find_siblings()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'siegelab' has no attribute {name!r}")
    return getattr(import_module("experiments"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
