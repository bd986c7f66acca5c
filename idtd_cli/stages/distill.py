"""`idtd distill`: prepared set → run. The loop itself is in `idtd_cli.method.loop`; this stage feeds and records it."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from idtd_cli import provenance, storage
from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.method.loop import Embed, Step, distil
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.synthesizer import Parametrisation, Synthesizer
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import DistillConfig, Recipe, section_digest
from idtd_cli.run_folder import RunDocument, RunFolder, differences
from idtd_cli.runlog import Metrics, Progress
from idtd_cli.students import registry

#: Steps between two looks at the losses: a look makes the host wait for the device.
_LOOK_EVERY = 10


def run(prepared: Path, out: Path, recipe: Recipe, device: str, resume: bool, progress: Progress) -> RunFolder:
    """Distil a prepared set into a run folder; a finished run of the same recipe and set is left as it is.

    Args:
        prepared: a prepared set.
        out: the run folder, to make or (with `resume`) to go on with.
        recipe: its `distill` section is what runs.
        device: "cpu" or "cuda".
        resume: go on from the last checkpoint.
        progress: where to report to.

    Raises:
        InputError: the folders or the recipe do not fit together.
        IdtdError: a loss became non-finite.
        KeyboardInterrupt: passed on after a checkpoint was written.
    """
    source = PreparedSet.open(prepared)
    folder = _open(source, out, recipe, device, resume)
    if folder.finished:
        progress.note(f"{out} already holds this run, finished: nothing to do.")
        return folder

    config, clip = recipe.distill, source.document.clip
    videos_NF3HW, labels_N = source.clips("train")
    real = RealClips(videos_NF3HW.to(device), labels_N.to(device), len(source.document.classes))
    normalisation = Normalisation(source.document.mean, source.document.std, device)
    parametrisation = _parametrise(config, real, normalisation, clip.frames).to(device)
    optimiser = torch.optim.SGD(parametrisation.step_sizes(), momentum=config.momentum)
    done = 0
    if (checkpoint := folder.latest_checkpoint()) is not None:
        done, state = checkpoint
        _load(state, parametrisation, optimiser)

    task = registry.Task(real.classes, clip.frames, clip.height, clip.width)

    def draw_network(seed: int) -> Embed:
        return registry.build(config.network, task, seed, device).requires_grad_(False).embed

    steps = distil(parametrisation, optimiser, real, normalisation, draw_network, config, clip.frames, done)
    unread: list[Step] = []
    with Metrics(folder.metrics, done) as metrics, progress.stage(f"distil ({config.method})", config.steps) as bar:
        bar.advance(done)
        try:
            for step in steps:
                unread.append(step)
                done = step.number + 1
                if done % _LOOK_EVERY == 0 or done == config.steps:
                    _record(unread, metrics)
                    bar.advance(len(unread), matching=unread[-1].matching.item(), diversity=unread[-1].diversity.item())
                    unread.clear()
                if done % config.checkpoint_every == 0 and done < config.steps:
                    folder.save_checkpoint(done, _state(parametrisation, optimiser))
        except KeyboardInterrupt:
            _record(unread, metrics)
            folder.save_checkpoint(done, _state(parametrisation, optimiser))
            raise
    with torch.no_grad():
        rendered = normalisation.to_uint8(parametrisation()).cpu()
    return folder.finish(rendered, torch.arange(real.classes).repeat_interleave(config.ipc))


def _open(source: PreparedSet, out: Path, recipe: Recipe, device: str, resume: bool) -> RunFolder:
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
    groups = real.classes if config.idtd.pool.scope == "class" else 1
    entries = real.segments(
        groups, config.idtd.pool.entries, config.augmentation.span, frames // config.idtd.segments, generator
    )
    entries_GM3LHW = normalisation.normalise(entries).transpose(2, 3)
    return Synthesizer(config.idtd, real.classes, config.ipc, entries_GM3LHW)


def _record(steps: list[Step], metrics: Metrics) -> None:
    """Write the losses of some steps down, and stop if one of them is not a number."""
    for step in steps:
        losses = {"matching": step.matching.item(), "diversity": step.diversity.item()}
        metrics.add(step.number, **losses)
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise IdtdError(
                f"The {bad[0]} loss became {losses[bad[0]]} at step {step.number}.",
                "Lower the step sizes (distill.*.step_size).",
            )
    metrics.flush()


def _state(parametrisation: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that the next step needs: parameters, and the momentum of each."""
    state = {f"parameter.{name}": value.detach() for name, value in parametrisation.state_dict().items()}
    for name, parameter in parametrisation.named_parameters():
        if (momentum := optimiser.state[parameter].get("momentum_buffer")) is not None:
            state[f"momentum.{name}"] = momentum
    return {name: value.cpu().contiguous() for name, value in state.items()}


def _load(state: dict[str, Tensor], parametrisation: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """The reverse of `_state`."""
    prefix = "parameter."
    parametrisation.load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
    for name, parameter in parametrisation.named_parameters():
        if (momentum := state.get(f"momentum.{name}")) is not None:
            optimiser.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
