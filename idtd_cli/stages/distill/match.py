"""Videos that are made by matching: the loop, with its losses written down and its state kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from idtd_cli.errors import IdtdError
from idtd_cli.method.loop import Step, distil
from idtd_cli.method.matching import registry as matchings
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import RealViews
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Metrics, Progress
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.losses import LOOK_EVERY, write
from idtd_cli.stages.distill.parametrise import parametrise

_LOWER = "Lower the step sizes (distill.*.step_size)."


def match(job: Job, folder: RunFolder, progress: Progress) -> Tensor:
    """Synthetic videos (N, T, 3, H, W) uint8, optimised from the folder's last checkpoint on, or from the start.

    Raises:
        IdtdError: a loss or the videos became non-finite.
        KeyboardInterrupt: passed on, after a checkpoint was written.
    """
    config = job.config
    parametrisation = parametrise(job)
    augmentation = TemporalAugmentation.of(config.augmentation, parametrisation.segments)
    real = RealViews(job.real, job.normalisation, augmentation, job.task.frames)
    matching = matchings.build(config, real, job.draw_network).to(job.device)
    learned = nn.ModuleDict({"videos": parametrisation, "matching": matching})
    optimiser = torch.optim.Adam(parametrisation.step_sizes() + matching.step_sizes(), betas=(config.momentum, 0.99))
    done = 0
    if (checkpoint := folder.latest_checkpoint()) is not None:
        done, state = checkpoint
        _load(state, learned, optimiser)

    steps = distil(parametrisation, matching, optimiser, config, job.task.classes, job.task.frames, done)
    unread: list[Step] = []
    with (
        Metrics(folder.metrics, done) as metrics,
        progress.stage(f"distil ({config.method})", config.steps) as bar,
        _ctrl_c_held_back() as asked_to_stop,
    ):
        bar.advance(done)
        try:
            for step in steps:
                unread.append(step)
                done = step.number + 1
                keep = done % config.checkpoint_every == 0 and done < config.steps
                if keep or done % LOOK_EVERY == 0 or done == config.steps:
                    seen, unread = unread, []
                    _record(seen, metrics)  # first: a state whose loss is no number must not be kept
                    if keep:
                        folder.save_checkpoint(done, _state(learned, optimiser))
                    bar.advance(len(seen), matching=step.matching.item(), diversity=step.diversity.item())
                if asked_to_stop():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            _record(unread, metrics)
            folder.save_checkpoint(done, _state(learned, optimiser))
            raise
    with torch.no_grad():
        videos = parametrisation()
    if not videos.isfinite().all():
        raise IdtdError("The videos became not finite in the last step.", _LOWER)
    return job.normalisation.to_uint8(videos)


@contextmanager
def _ctrl_c_held_back() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back, and tell whether it was pressed: within a step some parameters have moved and others not."""
    before = signal.getsignal(signal.SIGINT)
    # Another handler than Python's own is the wish of whoever runs us, and only the main thread may set one.
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _record(steps: list[Step], metrics: Metrics) -> None:
    """Write the losses of some steps of matching down, and stop if one of them is not a number."""
    for step in steps:
        losses = {"matching": step.matching.item(), "diversity": step.diversity.item()}
        write(step.number, losses, metrics, _LOWER)


def _state(learned: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that the next step needs: the parameters, and what the optimiser keeps of each."""
    state = {f"parameter.{name}": value.detach() for name, value in learned.state_dict().items()}
    for name, parameter in learned.named_parameters():
        state |= {f"optimiser.{kept}.{name}": value for kept, value in optimiser.state[parameter].items()}
    return {name: value.cpu().contiguous() for name, value in state.items()}


def _load(state: dict[str, Tensor], learned: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """The reverse of `_state`."""
    prefix = "parameter."
    learned.load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
    parameters = dict(learned.named_parameters())
    for key, value in state.items():
        if not key.startswith(prefix):
            _, kept, name = key.split(".", 2)
            # Adam counts its steps on the host.
            optimiser.state[parameters[name]][kept] = value if kept == "step" else value.to(parameters[name].device)
