"""How well the demo recipe distils: IDTD against every reference, over several distillation seeds.

    python benchmarks/demo.py OUT [--ipc 1 5] [--seeds 3] [--methods METHOD ...] [--source SOURCE] [--set a.b=c ...]

Every distillation seed makes a set of its own; every set trains `evaluate.students` students. The table gives the mean
over all students of all seeds, its standard error over the means of the sets, and what the difference between IDTD and
pixel matching is worth in standard errors. Runs that are complete are not repeated.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path
from typing import get_args

from idtd_cli import provenance, recipe
from idtd_cli.cli.output import Terminal
from idtd_cli.demo import defaults
from idtd_cli.report.document import ReportDocument
from idtd_cli.stages import demo_data, distill, evaluate, export, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--ipc", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=get_args(recipe.Method))
    parser.add_argument("--source", type=Path)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    progress = Terminal()

    source = asked.source or asked.out / "data"
    if asked.source is None:
        arguments = {name.lower(): value for name, value in vars(defaults).items() if name.isupper()}
        demo_data.run(source, progress=progress, **arguments)
    prepare.run(source, asked.out / "prepared", recipe.load(asked.recipe, asked.set), progress)

    rows = []
    for ipc in asked.ipc:
        sets = []
        for method in asked.methods:
            for seed in range(asked.seeds):
                name = f"{method}-ipc{ipc}-seed{seed}"
                changes = [f"distill.method={method}", f"distill.ipc={ipc}", f"distill.seed={seed}"]
                chosen = recipe.load(asked.recipe, [*asked.set, *changes])
                run, out = asked.out / "runs" / name, asked.out / "sets" / name
                distill.run(asked.out / "prepared", run, chosen, "cpu", resume=True, progress=progress)
                export.run(run, out, progress)
                sets.append(out)
        protocol = recipe.load(asked.recipe, asked.set)
        report = evaluate.run(sets, asked.out / "prepared", asked.out / f"report-ipc{ipc}", protocol, "cpu", progress)
        rows.append(figures(report))
    print(f"{provenance.hardware('cpu')}; {provenance.versions()}")
    for ipc, row in zip(asked.ipc, rows, strict=True):
        print(f"\n{ipc} video(s) a class")
        for method, (mean, error, count) in row.items():
            print(f"  {method:9} {100 * mean:5.1f} ± {100 * error:.1f} (standard error, n = {count})")
        if {"idtd", "pixel"} <= row.keys():
            (idtd, idtd_error, _), (pixel, pixel_error, _) = row["idtd"], row["pixel"]
            gap = (idtd - pixel) / math.hypot(idtd_error, pixel_error)
            print(f"  idtd / pixel = {idtd / pixel:.2f}; difference {gap:.1f} standard errors")


def figures(report: ReportDocument) -> dict[str, tuple[float, float, int]]:
    """Method → mean, standard error of the mean, and number of students, over all its sets.

    Students of one set share its distillation: the error is taken over the means of the sets where there are several,
    which is the larger and the honest one.
    """
    found = {}
    for method in dict.fromkeys(result.method for result in report.results):
        results = [result for result in report.results if result.method == method]
        if not results:
            continue
        values = [value for result in results for value in result.top1.values]
        units = [result.top1.mean for result in results] if len(results) > 1 else values
        error = statistics.stdev(units) / math.sqrt(len(units)) if len(units) > 1 else 0.0
        found[method] = (statistics.fmean(values), error, len(values))
    return found


if __name__ == "__main__":
    main()
