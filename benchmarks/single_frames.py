"""How much of a class one frame gives away: students that learn from single frames, scored on single frames.

    python benchmarks/single_frames.py PREPARED [--recipe demo] [--students 3] [--steps 600] [--set a.b=c ...]

Every stored frame of a training clip is one still clip with its class, and every stored frame of a test clip one
question; then the same with the first frames alone. Students and their training are the recipe's, with `--steps`
updates.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from idtd_cli import provenance, recipe
from idtd_cli.cli.output import Terminal
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.prepared import PreparedSet
from idtd_cli.students import registry
from idtd_cli.students.predictions import top1
from idtd_cli.students.training import LabelledVideos, fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()

    config = recipe.load(asked.recipe, [*asked.set, f"evaluate.fit.steps={asked.steps}"]).evaluate
    prepared = PreparedSet.open(asked.prepared)
    clip, classes = prepared.document.clip, len(prepared.document.classes)
    task = registry.Task(classes, clip.frames, clip.height, clip.width)
    normalisation = Normalisation(prepared.document.mean, prepared.document.std, "cpu")
    still = TemporalAugmentation(segments=1, span=1, window=0, speed=1)
    print(f"{provenance.hardware('cpu')}; {provenance.versions()}")
    print(f"chance: {100 / classes:.1f}")
    for name, which in (("any", slice(None)), ("first", slice(1))):
        train, test = stills(prepared, "train", which), stills(prepared, "test", which)
        scores = []
        with Terminal().stage(f"{name} frame", asked.students) as bar:
            for seed in range(asked.students):
                student = registry.build(config.student, task, seed, "cpu")
                fit(student, train, normalisation, config.fit, still, clip.frames, seed)
                scores.append(100 * top1(student, test, normalisation, clip.frames))
                bar.advance(top1=scores[-1])
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        found = f"{statistics.fmean(scores):.1f} ± {spread:.1f} (n = {len(scores)})"
        print(f"{name} frame: top-1 on {len(test.labels_N)} frames {found}")


def stills(prepared: PreparedSet, split: str, which: slice) -> LabelledVideos:
    """The stored frames `which` of each clip of a split, each as a video of its own."""
    videos_NF3HW, labels_N = prepared.clips(split)
    chosen_NF3HW = videos_NF3HW[:, which]
    return LabelledVideos(chosen_NF3HW.flatten(0, 1).unsqueeze(1), labels_N.repeat_interleave(chosen_NF3HW.shape[1]))


if __name__ == "__main__":
    main()
