"""The card of a published set, README.md on the Hub, rendered from set.json and report.json: no figure is typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import jinja2
import yaml

from idtd_cli.distilled import SetDocument
from idtd_cli.hub import citation
from idtd_cli.recipe import CHOSEN
from idtd_cli.report import summary
from idtd_cli.report.caveats import caveats
from idtd_cli.report.document import Difference, ReportDocument, Result

#: What the dataset viewer and `datasets` take each kind of member for.
_DTYPES = {"mp4": "video", "safetensors": "binary"}
_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MOST_PICTURES = 12

_WEBDATASET = """import io
from pathlib import Path

import av
import webdataset
from huggingface_hub import snapshot_download

folder = snapshot_download("{name}", repo_type="dataset", allow_patterns="data/*.tar")
shards = sorted(str(path) for path in Path(folder, "data").glob("*.tar"))
for sample in webdataset.WebDataset(shards, shardshuffle=False):
    label = int(sample["cls"])
    {read_sample}"""
_DATASETS = """import io

import av
import datasets

data = datasets.load_dataset("{name}", split="train"){cast}
for row in data:
    label = row["cls"]
    {read_row}"""
_VIDEO = 'frames = [frame.to_ndarray(format="rgb24") for frame in av.open(io.BytesIO({bytes})).decode(video=0)]'
_TENSORS = 'frames_T3HW = safetensors.numpy.load({bytes})["video_T3HW"]'


@dataclass(frozen=True)
class Sample:
    """What the samples of a set's shards are like."""

    kinds: tuple[str, ...]  #: mp4, json, cls, …
    facts: dict[str, Any]  #: the JSON of one of them


def render(
    name: str,
    document: SetDocument,
    digest: str,
    sample: Sample,
    licence: str,
    report: ReportDocument | None = None,
    pictures: Sequence[str] = (),
) -> str:
    """The card, as Markdown with YAML front matter. All text from data is escaped.

    Args:
        name: OWNER/NAME.
        document: what the set is.
        digest: of the set; it says which results of a report are its own.
        sample: what its shards hold.
        licence: as the publisher named it.
        report: an evaluation of the set, if there is one.
        pictures: files of the set to show.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("idtd_cli.hub"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown: escaped by `plain`
    )
    environment.filters |= {"plain": _plain, "code": _code, "link": quote, "figure": lambda value: f"{value:g}"}
    own = own_result(report, digest) if report else None
    method = summary.TITLES.get(document.method, document.method)
    called = title(document, report)
    synthetic = document.method not in CHOSEN
    recipe = document.recipe.to_yaml() if document.recipe else ""
    return environment.get_template("card.md").render(
        front=_front(called, document, sample, licence, report, synthetic),
        title=called,
        name=name,
        document=document,
        method=method,
        count=len(document.classes) * document.videos_a_class,
        synthetic=synthetic,
        report=report,
        rows=[*_table(report, own)] if report and own else [],
        differences=[*_differences(report, own)] if report and own else [],
        architectures=summary.across(report) if report and own else [],
        caveats=caveats(report) if report and own else [],
        pictures=list(pictures)[:_MOST_PICTURES],
        webdataset_code=_code_block(_WEBDATASET, name, sample),
        datasets_code=_code_block(_DATASETS, name, sample),
        stored=summary.size(document.stored_bytes),
        digest=digest,
        recipe=recipe,
        fence="`" * max(3, 1 + max((len(run) for run in re.findall("`+", recipe)), default=0)),
        licence=licence,
        bibtex=citation.bibtex(),
    )


def title(document: SetDocument, report: ReportDocument | None) -> str:
    """What a set is called on its card."""
    source = f" of {report.source}" if report else ""
    return f"{summary.TITLES.get(document.method, document.method)}: a distilled set{source}"


def own_result(report: ReportDocument, digest: str) -> Result | None:
    """The result of a set in a report; None if it reports on others."""
    student = report.protocol.student.name
    sets = [r for r in report.results if r.set is not None and r.form == "own" and r.student == student]
    for number, result in enumerate(sets, start=1):
        if report.parents.get(f"set {number}") == digest:
            return result
    return None


def _front(
    title: str, document: SetDocument, sample: Sample, licence: str, report: ReportDocument | None, synthetic: bool
) -> str:
    count = len(document.classes) * document.videos_a_class
    facts = {
        "license": licence,
        "pretty_name": " ".join(title.split()),
        "task_categories": ["video-classification"],
        "size_categories": [next((words for most, words in _SIZES if count < most), "n>1M")],
        **({"source_datasets": [report.source]} if report else {}),
        **({"annotations_creators": ["machine-generated"]} if synthetic else {}),
        "tags": ["dataset-distillation", "video", "webdataset", *(["synthetic"] if synthetic else [])],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.tar"}]}],
        "dataset_info": {"features": [*_features(document, sample)]},
    }
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=1000)


def _features(document: SetDocument, sample: Sample) -> Iterator[dict[str, Any]]:
    """What `datasets` finds in the shards, with the names of the classes, which it cannot find there."""
    yield {"name": "__key__", "dtype": "string"}
    yield {"name": "__url__", "dtype": "string"}
    for kind in sorted(sample.kinds):
        if kind == "cls":
            names = {str(number): label for number, label in enumerate(document.classes)}
            yield {"name": kind, "dtype": {"class_label": {"names": names}}}
        elif kind == "json":
            yield {"name": kind, **_typed(sample.facts)}
        else:
            yield {"name": kind, "dtype": _DTYPES[kind]}


def _typed(value: Any) -> dict[str, Any]:
    """A JSON value's type, as the front matter of a card says it."""
    if isinstance(value, dict):
        return {"struct": [{"name": key, **_typed(inner)} for key, inner in value.items()]}
    if isinstance(value, list):
        inner = _typed(value[0] if value else "")
        return {"list": inner["dtype"] if set(inner) == {"dtype"} else inner}
    if isinstance(value, bool):
        return {"dtype": "bool"}
    return {"dtype": "int64" if isinstance(value, int) else "float64" if isinstance(value, float) else "string"}


def _code_block(template: str, name: str, sample: Sample) -> str:
    """Code that reads what the shards hold."""
    kind, reading = ("mp4", _VIDEO) if "mp4" in sample.kinds else ("safetensors", _TENSORS)
    cast = '\ndata = data.cast_column("mp4", datasets.Video(decode=False))  # its bytes; decoding needs torchcodec'
    code = template.format(
        name=name,
        cast=cast if kind == "mp4" else "",
        read_sample=reading.format(bytes=f'sample["{kind}"]'),
        read_row=reading.format(bytes='row["mp4"]["bytes"]' if kind == "mp4" else 'row["safetensors"]'),
    )
    if kind == "mp4":
        return code
    return (
        code.replace("import io\n\n", "")
        .replace("import io\n", "")
        .replace("import av\n", "import safetensors.numpy\n")
    )


def _table(report: ReportDocument, own: Result) -> Iterator[tuple[str, ...]]:
    """Header, the set itself, what was measured beside it at its size, and the full data."""
    has_top5 = own.top5 is not None
    top5 = ("top-5",) if has_top5 else ()
    yield ("trained on", "videos a class", "stored", "frames", "top-1", "95 % interval", *top5, "n")
    others = [r for r in summary.ordered(report) if r is not own and r.ipc in (own.ipc, None)]
    for result in (own, *others):
        this = result.set == summary.form_of(str(own.set), result.form)
        yield (
            summary.title(result) + (", this set" if this else ""),
            str(result.ipc) if result.ipc else "all",
            summary.size(result.stored_bytes),
            str(result.stored_frames),
            summary.percent(result.top1),
            summary.between(result.interval),
            *([summary.percent(result.top5) if result.top5 else ""] if has_top5 else []),
            str(result.top1.n),
        )


def _differences(report: ReportDocument, own: Result) -> Iterator[str]:
    """How far the set is from what was measured beside it; what is inside the noise is called that."""
    titles = {(r.set or r.method, r.ipc): summary.title(r) for r in report.results}
    for pair in report.differences:
        if pair.ipc == own.ipc and own.set in (pair.one, pair.other):
            ahead = pair if pair.one == own.set else _turned(pair)
            verdict = "within the noise" if ahead.is_noise else "better" if ahead.top1 > 0 else "worse"
            yield (
                f"Against {titles[ahead.other, ahead.ipc]}: {100 * ahead.top1:+.1f} points, 95 % interval "
                f"{summary.between(ahead.interval, '+')}, {ahead.students} pairs of students: {verdict}."
            )


def _turned(pair: Difference) -> Difference:
    low, high = pair.interval
    return pair.model_copy(update={"one": pair.other, "other": pair.one, "top1": -pair.top1, "interval": (-high, -low)})


def _plain(text: object) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!$])", r"\\\1", " ".join(str(text).split()))


def _code(text: object) -> str:
    """Text between backticks."""
    return " ".join(str(text).replace("`", "'").split())
