"""Everything that can be wrong with what a user feeds in, made on the spot.

A `Damage` writes one damaged thing into a folder. `recordings`, `arrays`,
`formats` and `paths` damage EEG files, `models`
checkpoints and configurations, `corpora` corpora, `tables` tables and BIDS folders, `places` the
surroundings: full disks, read-only folders, two runs at once. `scripts/robustness.py` feeds each to
every entry point that takes such a thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: What has to come out: a result, a refusal in one sentence, or either (whichever, it is judged).
RESULT, REFUSAL, EITHER = "result", "refusal", "either"


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One kind of damage."""

    name: str
    group: str
    make: Callable[..., Any]
    """Writes it into a folder; what it takes and returns depends on the group."""
    expect: str = EITHER
    quick: bool = False
    """Part of the short run of `make test`."""
    not_for: tuple[str, ...] = ()
    """Entry points that it cannot reach."""


@dataclass(kw_only=True)
class Damages:
    """A list that is filled by a decorator."""

    group: str
    all: list[Damage] = field(default_factory=list)

    def __call__(
        self, name: str, expect: str = EITHER, *, quick: bool = False, **more: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a function that makes a damage."""

        def register(make: Callable[..., Any]) -> Callable[..., Any]:
            self.add(name, make, expect, quick=quick, **more)
            return make

        return register

    def add(
        self,
        name: str,
        make: Callable[..., Any],
        expect: str = EITHER,
        *,
        quick: bool = False,
        **more: Any,
    ) -> None:
        """Register a damage that is no function of its own."""
        assert name not in {damage.name for damage in self.all}, name
        damage = Damage(name=name, group=self.group, make=make, expect=expect, quick=quick, **more)
        self.all.append(damage)
