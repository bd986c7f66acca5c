"""Videos that are made by matching: the loop, with its losses written down and its state kept."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from idtd_cli.errors import IdtdError
from idtd_cli.method.loop import Step, distil
from idtd_cli.method.matching import registry as matchings
from idtd_cli.method.parametrisation import Stored
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import RealViews
from idtd_cli.recipe import DistillConfig
from idtd_cli.report.contact_sheet import contact_sheet
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Metrics, Progress, tensorboard
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.losses import LOOK_EVERY, lower_step_sizes, write
from idtd_cli.stages.distill.parametrise import parametrise
from idtd_cli.stages.distill.speed import Meter


def match(job: Job, folder: RunFolder, progress: Progress) -> tuple[Tensor, Stored]:
    """Synthetic videos (N, T, 3, H, W) uint8, optimised from the folder's last checkpoint on, or from the start.

    With them, what a set of them stores.

    Raises:
        IdtdError: a loss or the videos became non-finite.
        KeyboardInterrupt: passed on, after a checkpoint was written.
    """
    config = job.config
    parametrisation = parametrise(job)
    augmentation = TemporalAugmentation.of(config.augmentation, parametrisation.segments)
    real = RealViews(job.real, job.normalisation, augmentation, job.task.frames)
    matching = matchings.build(config, real, job.draw_network, job.trajectories).to(job.device)
    learned = nn.ModuleDict({"videos": parametrisation, "matching": matching})
    optimiser = torch.optim.Adam(parametrisation.step_sizes() + matching.step_sizes(), betas=(config.momentum, 0.99))
    done = 0
    if (checkpoint := folder.latest_checkpoint()) is not None:
        done, state = checkpoint
        _load(state, learned, optimiser)
    began = done
    best = folder.best_checkpoint()
    best_score = best[1] if best else -1.0
    scores: dict[int, float] = {}  # steps taken → score of the videos

    def videos_now() -> Tensor:
        with torch.no_grad():
            videos = parametrisation()
        if not videos.isfinite().all():
            raise IdtdError("The videos became not finite in the last step.", lower_step_sizes(config))
        return job.normalisation.to_uint8(videos)

    def keeps() -> bool:
        return began < done < config.steps and done % config.checkpoint_every == 0

    def due(every: int) -> bool:
        return every > 0 and (done % every == 0 or done == config.steps)

    def pauses() -> bool:
        return keeps() or due(config.preview_every) or (job.validation is not None and due(config.validate_every))

    def pause(watch: Callable[..., None]) -> None:
        nonlocal best_score
        if keeps():
            folder.save_checkpoint(done, _state(learned, optimiser))
        if due(config.preview_every):
            folder.save_preview(done, _sheet(videos_now(), folder.document.classes))
        if job.validation and due(config.validate_every):
            scores[done] = job.validation.score(videos_now(), parametrisation.segments, watch)
            if scores[done] > best_score:
                best_score = scores[done]
                folder.save_best(done, best_score, _state(learned, optimiser))

    steps = distil(parametrisation, matching, optimiser, config, job.task.classes, job.task.frames, done)
    unread: list[Step] = []
    shown = 0
    meter = Meter(job.device, config.precision, config.network_steps)
    with (
        tensorboard(job.tensorboard, done) as board,
        Metrics(folder.metrics, done, board) as metrics,
        Metrics(folder.speed, done, board) as speed,
        progress.stage(f"distil ({config.method})", config.steps, done) as bar,
        _ctrl_c_held_back() as asked_to_stop,
    ):

        def stop_if_asked(*_: object) -> None:
            if asked_to_stop():
                raise KeyboardInterrupt

        try:
            while True:
                if pauses():
                    pause(stop_if_asked)
                    meter.restart()
                if done == config.steps:
                    break
                unread.append(meter.counted(lambda: next(steps)))
                done += 1
                if pauses() or done % LOOK_EVERY == 0 or done == config.steps:
                    seen, unread = unread, []
                    # First: a state whose loss is no number must not be kept.
                    losses = _record(seen, scores, metrics, config)
                    clips = real.shown - shown + sum(step.views for step in seen)
                    shown, facts = real.shown, meter.look(len(seen), clips)
                    speed.add(done - 1, **facts)
                    speed.flush()
                    latest = {"validation": scores[max(scores)]} if scores else {}
                    bar.advance(len(seen), **losses | latest, **{"clips/s": facts["clips_per_second"]})
                stop_if_asked()
        except KeyboardInterrupt:
            _record(unread, scores, metrics, config)
            folder.save_checkpoint(done, _state(learned, optimiser))
            raise
        if done in scores:  # of the result, which no step has a loss of
            metrics.add(done, validation=scores[done])
    if config.selection == "best-on-validation" and (best := folder.best_checkpoint()):
        chosen, score, state = best
        _load(state, learned, optimiser)
        progress.note(f"The result is the videos after {chosen} of {done} steps: {score:.1%} on validation.")
    videos_NT3HW = videos_now()
    return videos_NT3HW, parametrisation.stored(videos_NT3HW)


def _sheet(videos_NT3HW: Tensor, classes: Sequence[str]) -> bytes:
    """A contact sheet of the first video of each class, as PNG."""
    first_CTHW3 = videos_NT3HW[:: len(videos_NT3HW) // len(classes)].permute(0, 1, 3, 4, 2).cpu().numpy()
    drawn = io.BytesIO()
    contact_sheet(classes, {"synthetic": first_CTHW3}).save(drawn, format="PNG")
    return drawn.getvalue()


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


def _record(steps: list[Step], scores: dict[int, float], metrics: Metrics, config: DistillConfig) -> dict[str, float]:
    """Write the figures of some steps down, and stop if a loss is not a number; those of the last one."""
    figures: dict[str, float] = {}
    for step in steps:
        figures = {"matching": step.matching.item(), "diversity": step.diversity.item()}
        if step.number in scores:  # both are of the videos before the step was taken
            figures["validation"] = scores[step.number]
        write(step.number, figures, metrics, lower_step_sizes(config))
    return figures


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
