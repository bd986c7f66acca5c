"""All that the next step of a run needs, as checkpoints keep it: whole, however many ranks have a part of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from idtd_cli.method.matching.matching import Matching
from idtd_cli.method.parametrisation import Parametrisation
from idtd_cli.method.shard import Shard

_PARAMETER = "parameter."


class State:
    """The parameters of a run and what the optimiser keeps of each; those of its classes here, of all in a checkpoint.

    Args:
        parametrisation: of the shard's classes.
        matching: the same on all ranks.
        optimiser: over the parameters of both.
        shard: the classes.
    """

    def __init__(
        self, parametrisation: Parametrisation, matching: Matching, optimiser: torch.optim.Optimizer, shard: Shard
    ) -> None:
        self._learned = nn.ModuleDict({"videos": parametrisation, "matching": matching})
        self._optimiser, self._shard = optimiser, shard
        shared = {id(parameter) for parameter in (*parametrisation.shared(), *matching.parameters())}
        self._by_class = {name for name, p in self._learned.named_parameters() if id(p) not in shared}

    def whole(self) -> dict[str, Tensor]:
        """On rank 0, what `load` takes; it is gathered from all."""
        state = {f"{_PARAMETER}{name}": value.detach() for name, value in self._learned.state_dict().items()}
        for name, parameter in self._learned.named_parameters():
            state |= {f"optimiser.{kept}.{name}": value for kept, value in self._optimiser.state[parameter].items()}
        # Sorted: what was loaded is in any order, and all ranks must gather in the same one.
        return {key: self._of_all(key, state[key]).cpu().contiguous() for key in sorted(state)}

    def load(self, whole: dict[str, Tensor]) -> None:
        """Go on from what `whole` gave, there or with any other number of ranks."""
        state = {key: self._of_shard(key, value) for key, value in whole.items()}
        self._learned.load_state_dict({k.removeprefix(_PARAMETER): v for k, v in state.items() if _is_parameter(k)})
        parameters = dict(self._learned.named_parameters())
        for key, value in state.items():
            if not _is_parameter(key):
                _, kept, name = key.split(".", 2)
                # Adam counts its steps on the host.
                device = "cpu" if kept == "step" else parameters[name].device
                self._optimiser.state[parameters[name]][kept] = value.to(device)

    def _of_all(self, key: str, own: Tensor) -> Tensor:
        return self._shard.joined(own) if self._has_classes(key, own) else own

    def _of_shard(self, key: str, whole: Tensor) -> Tensor:
        return whole[self._shard.rows(len(whole))] if self._has_classes(key, whole) else whole

    def _has_classes(self, key: str, value: Tensor) -> bool:
        """Whether a value's first dimension is that of the classes; numbers that go with a parameter have none."""
        name = key.removeprefix(_PARAMETER) if _is_parameter(key) else key.split(".", 2)[2]
        return name in self._by_class and value.ndim > 0


def _is_parameter(key: str) -> bool:
    return key.startswith(_PARAMETER)
