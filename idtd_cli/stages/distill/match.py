"""Videos that are made by matching: the loop, with its losses written down and its state kept."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

from idtd_cli.errors import IdtdError
from idtd_cli.method.loop import Step, distil
from idtd_cli.method.matching import registry as matchings
from idtd_cli.method.parametrisation import Stored
from idtd_cli.method.shard import Shard
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import RealViews
from idtd_cli.ranks import Ranks, told_to_end
from idtd_cli.recipe import DistillConfig
from idtd_cli.report.contact_sheet import contact_sheet, png
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Metrics, Progress, tensorboard
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.losses import LOOK_EVERY, lower_step_sizes, write
from idtd_cli.stages.distill.parametrise import parametrise
from idtd_cli.stages.distill.speed import Speedometer
from idtd_cli.stages.distill.state import State


def match(job: Job, folder: RunFolder, progress: Progress) -> tuple[Tensor, Stored]:
    """Synthetic videos (N, T, 3, H, W) uint8, optimised from the folder's last checkpoint on, or from the start.

    With them, what a set of them stores. Where ranks share the classes, what is given back is right on rank 0 alone.

    Raises:
        IdtdError: a loss or the videos became non-finite.
        KeyboardInterrupt: passed on, on all ranks if one is asked to stop, after a checkpoint was written.
    """
    config, ranks = job.config, job.ranks
    shard = Shard(job.task.classes, ranks)
    parametrisation = parametrise(job)
    parametrisation.keep(shard)
    augmentation = TemporalAugmentation.of(config.augmentation, parametrisation.segments)
    real = RealViews(job.real, job.normalisation, augmentation, job.task.frames, ranks)
    matching = matchings.build(config, real, job.draw_network, job.trajectories).to(job.device)
    optimiser = torch.optim.Adam(parametrisation.step_sizes() + matching.step_sizes(), betas=(config.momentum, 0.99))
    state = State(parametrisation, matching, optimiser, shard)
    damaged: list[Path] = []
    began = done = _go_on(state, folder.latest_checkpoint(damaged.append), ranks)
    for path in damaged:
        progress.note(f"{path} is damaged and passed over: the run goes on after step {began}.")
    best = folder.best_checkpoint()
    best_score = ranks.number_from_first(best[1] if best else -1.0)
    scores: dict[int, float] = {}  # steps taken → score of the videos

    def videos_now() -> Tensor:
        with torch.no_grad():
            videos = parametrisation()
        if ranks.any(not videos.isfinite().all()):
            raise IdtdError("The videos became not finite in the last step.", lower_step_sizes(config))
        return shard.joined(job.normalisation.to_uint8(videos))

    def keeps() -> bool:
        return began < done < config.steps and done % config.checkpoint_every == 0

    def due(every: int) -> bool:
        return every > 0 and (done % every == 0 or done == config.steps)

    def pauses() -> bool:
        return keeps() or due(config.preview_every) or due(config.validate_every)

    def pause(watch: Callable[..., None]) -> None:
        nonlocal best_score
        if keeps():
            folder.save_checkpoint(done, state.whole())
        if due(config.preview_every):
            videos_NT3HW = videos_now()
            if ranks.first:
                folder.save_preview(done, _sheet(videos_NT3HW, folder.document.classes))
        if due(config.validate_every):
            scores[done] = _score(job, videos_now(), parametrisation.segments, watch)
            if scores[done] > best_score:
                best_score = scores[done]
                folder.save_best(done, best_score, state.whole())

    steps = distil(parametrisation, matching, optimiser, config, shard, job.task.frames, done)
    unread: list[Step] = []
    shown = 0
    meter = Speedometer(job.device, config.precision, config.network_steps, ranks)
    with (
        tensorboard(job.tensorboard, done) as board,
        Metrics(folder.metrics if ranks.first else None, done, board) as metrics,
        Metrics(folder.speed if ranks.first else None, done, board) as speed,
        progress.stage(f"distil ({config.method})", config.steps, done) as bar,
        _held_back([signal.SIGINT] if ranks.of == 1 else [signal.SIGINT, signal.SIGTERM]) as asked_to_stop,
    ):

        def stop_if_asked(*_: object) -> None:
            """On one rank alone."""
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
                if ranks.any(asked_to_stop()):
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            _record(unread, scores, metrics, config)
            folder.save_checkpoint(done, state.whole())
            raise
        if done in scores:  # of the result, which no step has a loss of
            metrics.add(done, validation=scores[done])
    if config.selection != "last":
        best = folder.best_checkpoint()
        chosen = _go_on(state, best and (best[0], best[2]), ranks)
        scored_on = "the test split" if config.validation_split == "test" else "validation"
        progress.note(f"The result is the videos after {chosen} of {done} steps: {best_score:.1%} on {scored_on}.")
    videos_NT3HW = videos_now()
    return videos_NT3HW, parametrisation.stored(videos_NT3HW)


def _go_on(state: State, checkpoint: tuple[int, dict[str, Tensor]] | None, ranks: Ranks) -> int:
    """Take the state that rank 0 has read; the number of steps that it was taken after, 0 if there is none."""
    after, whole = checkpoint or (0, {})
    whole = ranks.from_first({"after": torch.tensor(after)} | whole)
    after = int(whole.pop("after"))
    if whole:
        state.load(whole)
    return after


def _score(job: Job, videos_NT3HW: Tensor, segments: int, watch: Callable[..., None]) -> float:
    """The score that rank 0 gives the videos, on all ranks.

    Raises:
        KeyboardInterrupt: `watch` raised it there.
    """
    score = math.nan
    if job.validation:
        with suppress(KeyboardInterrupt):  # the others wait to hear of it
            score = job.validation.score(videos_NT3HW, segments, job.soft_labels(videos_NT3HW), watch)
    score = job.ranks.number_from_first(score)
    if math.isnan(score):
        raise KeyboardInterrupt
    return score


def _sheet(videos_NT3HW: Tensor, classes: Sequence[str]) -> bytes:
    """A contact sheet of the first video of each class, as PNG."""
    first_CTHW3 = videos_NT3HW[:: len(videos_NT3HW) // len(classes)].permute(0, 1, 3, 4, 2).cpu().numpy()
    return png(contact_sheet(classes, {"synthetic": first_CTHW3}))


@contextmanager
def _held_back(signals: Sequence[signal.Signals]) -> Iterator[Callable[[], bool]]:
    """Hold signals to stop back, and tell whether one came: within a step some parameters have moved and others not.

    With Ctrl-C, SIGINT, it is the user who asks; torchrun passes SIGTERM on.
    """
    came = threading.Event()
    # Another handler than the usual ones is the wish of whoever runs us, and only the main thread may set one.
    usual = {signal.SIGINT: (signal.default_int_handler,), signal.SIGTERM: (signal.SIG_DFL, told_to_end)}
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in signals if in_main}
    ours = {number: handler for number, handler in before.items() if handler in usual[number]}
    for number in ours:
        signal.signal(number, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _record(steps: list[Step], scores: dict[int, float], metrics: Metrics, config: DistillConfig) -> dict[str, float]:
    """Write the figures of some steps down, and stop if a loss is not a number; those of the last one."""
    figures: dict[str, float] = {}
    for step in steps:
        figures = {"matching": step.matching.item(), "diversity": step.diversity.item()}
        if step.number in scores:  # both are of the videos before the step was taken
            figures["validation"] = scores[step.number]
        write(step.number, figures, metrics, lower_step_sizes(config))
    return figures
