"""`idtd distill`: prepared set → run. Videos are made by matching, or clips are chosen; this stage feeds and records.

The matching loop itself is in `idtd_cli.method.loop`, the choice of clips in `idtd_cli.baselines.coreset`.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from idtd_cli import provenance, storage
from idtd_cli.baselines.coreset import CHOICES, coreset, embeddings
from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.method.loop import Embed, Step, distil
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.pool_start import pool_start
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.synthesizer import Synthesizer
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import DistillConfig, Recipe, section_digest
from idtd_cli.run_folder import RunDocument, RunFolder, differences
from idtd_cli.runlog import Metrics, Progress
from idtd_cli.students import registry
from idtd_cli.students.training import LabelledVideos, fit

#: Steps between two looks at the losses: a look makes the host wait for the device.
_LOOK_EVERY = 10
_LOWER = "Lower the step sizes (distill.*.step_size)."
_LOWER_FIT = "Lower distill.coreset.fit.step_size."


def run(prepared: Path, out: Path, recipe: Recipe, device: str, resume: bool, progress: Progress) -> RunFolder:
    """Distil a prepared set into a run folder; a finished run of the same recipe and set is left as it is.

    Args:
        prepared: a prepared set.
        out: the run folder, to make or (with `resume`) to go on with.
        recipe: its `distill` section is what runs.
        device: "cpu" or "cuda".
        resume: go on from the last checkpoint; a coreset, which has none, starts again.
        progress: where to report to.

    Raises:
        InputError: the folders or the recipe do not fit together.
        IdtdError: a loss, the videos or the embeddings became non-finite.
        KeyboardInterrupt: passed on, of matching after a checkpoint was written.
    """
    source = PreparedSet.open(prepared)
    config, clip = recipe.distill, source.document.clip
    task = registry.Task(len(source.document.classes), clip.frames, clip.height, clip.width)
    folder = _open(source, out, recipe, task, device, resume)
    if folder.finished:
        progress.note(f"{out} already holds this run, finished: nothing to do.")
        return folder

    videos_NF3HW, labels_N = source.clips("train")
    real = RealClips(videos_NF3HW.to(device), labels_N.to(device), task.classes)
    normalisation = Normalisation(source.document.mean, source.document.std, device)
    make = _choose if config.method in CHOICES else _match
    videos_NT3HW = make(config, task, real, normalisation, device, folder, progress)
    return folder.finish(videos_NT3HW.cpu(), torch.arange(real.classes).repeat_interleave(config.ipc))


def _match(
    config: DistillConfig,
    task: registry.Task,
    real: RealClips,
    normalisation: Normalisation,
    device: str,
    folder: RunFolder,
    progress: Progress,
) -> Tensor:
    """Synthetic videos (N, T, 3, H, W) uint8, optimised from the folder's last checkpoint on, or from the start."""
    parametrisation = _parametrise(config, real, normalisation, task.frames).to(device)
    optimiser = torch.optim.Adam(parametrisation.step_sizes(), betas=(config.momentum, 0.99))
    done = 0
    if (checkpoint := folder.latest_checkpoint()) is not None:
        done, state = checkpoint
        _load(state, parametrisation, optimiser)

    def draw_network(seed: int) -> Embed:
        return registry.build(config.network, task, seed, device).eval().requires_grad_(False).embed

    steps = distil(parametrisation, optimiser, real, normalisation, draw_network, config, task.frames, done)
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
                if keep or done % _LOOK_EVERY == 0 or done == config.steps:
                    seen, unread = unread, []
                    _record(seen, metrics)  # first: a state whose loss is no number must not be kept
                    if keep:
                        folder.save_checkpoint(done, _state(parametrisation, optimiser))
                    bar.advance(len(seen), matching=step.matching.item(), diversity=step.diversity.item())
                if asked_to_stop():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            _record(unread, metrics)
            folder.save_checkpoint(done, _state(parametrisation, optimiser))
            raise
    with torch.no_grad():
        videos = parametrisation()
    if not videos.isfinite().all():
        raise IdtdError("The videos became not finite in the last step.", _LOWER)
    return normalisation.to_uint8(videos)


def _choose(
    config: DistillConfig,
    task: registry.Task,
    real: RealClips,
    normalisation: Normalisation,
    device: str,
    folder: RunFolder,
    progress: Progress,
) -> Tensor:
    """Real clips (N, T, 3, H, W) uint8, chosen by what a network sees in them that is trained on all of them."""
    network = registry.build(config.network, task, config.seed, device)
    every = LabelledVideos(real.videos_NF3HW, real.labels_N)
    augmentation = TemporalAugmentation(every.segments, **config.augmentation.model_dump())
    steps = config.coreset.fit.steps
    unread: list[tuple[int, Tensor]] = []
    with Metrics(folder.metrics, 0) as metrics, progress.stage(f"train a network ({config.method})", steps) as bar:

        def watch(number: int, loss: Tensor) -> None:
            unread.append((number, loss))
            if len(unread) == _LOOK_EVERY or number + 1 == steps:
                for seen, value in unread:
                    _write(seen, {"training": value.item()}, metrics, _LOWER_FIT)
                bar.advance(len(unread), training=loss.item())
                unread.clear()

        fit(network, every, normalisation, config.coreset.fit, augmentation, task.frames, config.seed, watch)
    x_ND = embeddings(real, network.eval().embed, normalisation, task.frames)
    if not x_ND.isfinite().all():
        raise IdtdError("The network became not finite in the last step of its training.", _LOWER_FIT)
    return real.whole(coreset(x_ND, real.count_C, config.ipc, CHOICES[config.method]), task.frames)


def _open(source: PreparedSet, out: Path, recipe: Recipe, task: registry.Task, device: str, resume: bool) -> RunFolder:
    """The run folder to work in: a new one, the one to resume, or the finished one."""
    document = source.document
    if recipe.prepare.clip != document.clip:
        raise InputError(
            f"The recipe's clips are not those of {source.folder}: prepare.clip differs.",
            "Prepare the set again with this recipe, or leave --recipe out to take the one it was prepared with.",
        )
    smallest = min(document.counts["train"].items(), key=lambda item: item[1])
    if smallest[1] < recipe.distill.ipc:
        raise InputError(
            f"Class {smallest[0]} has {smallest[1]} training clips; distill.ipc asks for {recipe.distill.ipc}.",
            "Lower distill.ipc, or prepare more clips.",
        )
    registry.build(recipe.distill.network, task, 0, "cpu")  # a network that cannot take these clips stops here
    parents = {"prepared": document.digest(), "distill": section_digest(recipe.distill)}
    if not storage.is_empty(out):
        folder = RunFolder.open(out)
        if folder.document.parents["prepared"] != parents["prepared"]:
            raise InputError(f"{out} was made from another prepared set.", "Name a new folder.")
        if folder.document.parents != parents:
            changed = "; ".join(differences(folder.document.recipe, recipe, "distill"))
            raise InputError(f"{out} was made by another recipe ({changed}).", "Name a new folder.")
        if not folder.finished and not resume:
            raise InputError(f"{out} holds an unfinished run.", "Add --resume to go on with it, or name a new folder.")
        return folder
    segments = recipe.distill.idtd.segments if recipe.distill.method == "idtd" else 1
    return RunFolder.create(
        out,
        RunDocument(
            parents=parents,
            method=recipe.distill.method,
            recipe=recipe,
            classes=document.classes,
            clip=document.clip,
            segments=segments,
            mean=document.mean,
            std=document.std,
            device=device,
            versions=provenance.versions(),
        ),
    )


def _parametrise(
    config: DistillConfig, real: RealClips, normalisation: Normalisation, frames: int
) -> Synthesizer | PixelVideos:
    """The synthetic videos at step 0, made from real clips."""
    device = real.videos_NF3HW.device
    generator = torch.Generator(device).manual_seed(config.seed)
    # The networks of a step have seeds of their own; this covers the fusor's first weights.
    torch.manual_seed(config.seed)
    if config.method == "pixel":
        return PixelVideos(
            config.pixel, normalisation.normalise(random_clips(real, config.ipc, frames, generator).float())
        )
    idtd = config.idtd
    selectors, frames_L = config.ipc * idtd.segments, frames // idtd.segments
    entries = pool_start(real, idtd.pool, selectors, config.augmentation.span, frames_L, generator)
    entries_GM3LHW = normalisation.normalise(entries).transpose(2, 3)
    return Synthesizer(idtd, real.classes, config.ipc, entries_GM3LHW)


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
        _write(step.number, losses, metrics, _LOWER)


def _write(number: int, losses: dict[str, float], metrics: Metrics, hint: str) -> None:
    """Write the losses of a step down, and stop with a hint if one of them is not a number."""
    metrics.add(number, **losses)
    metrics.flush()
    for name, value in losses.items():
        if not math.isfinite(value):
            raise IdtdError(f"The {name} loss became {value} at step {number}.", hint)


def _state(parametrisation: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that the next step needs: the parameters, and what the optimiser keeps of each."""
    state = {f"parameter.{name}": value.detach() for name, value in parametrisation.state_dict().items()}
    for name, parameter in parametrisation.named_parameters():
        state |= {f"optimiser.{kept}.{name}": value for kept, value in optimiser.state[parameter].items()}
    return {name: value.cpu().contiguous() for name, value in state.items()}


def _load(state: dict[str, Tensor], parametrisation: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """The reverse of `_state`."""
    prefix = "parameter."
    parametrisation.load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
    parameters = dict(parametrisation.named_parameters())
    for key, value in state.items():
        if not key.startswith(prefix):
            _, kept, name = key.split(".", 2)
            # Adam counts its steps on the host.
            optimiser.state[parameters[name]][kept] = value if kept == "step" else value.to(parameters[name].device)
