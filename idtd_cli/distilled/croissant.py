"""croissant.json: a set described for programs that know no set of ours (https://docs.mlcommons.org/croissant)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from idtd_cli import storage
from idtd_cli.distilled import shards
from idtd_cli.distilled.document import SetDocument

CROISSANT = "croissant.json"

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write(folder: Path, document: SetDocument) -> None:
    """Describe a set whose shards are written. What only its owner knows is left out: licence, address, date."""
    text = json.dumps(describe(folder, document, f"{document.method}-{document.ipc}"), indent=2, ensure_ascii=False)
    storage.write_text(folder / CROISSANT, text + "\n")


def describe(folder: Path, document: SetDocument, name: str, **known: str) -> dict[str, Any]:
    """A set whose shards lie in `folder`, in Croissant 1.0.

    Args:
        folder: of the set.
        document: what the set is.
        name: what it is called.
        known: what a set does not say of itself, as schema.org calls it: url, license, datePublished, creator.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{document.count} synthetic videos of {len(document.classes)} classes, "
        f"{document.videos_a_class} of each, to train action recognition networks on; distilled by {document.method} "
        f"and written by {document.created_by}.",
        "version": "1.0.0",
        **known,
        "distribution": [*(_shard(folder, path) for path in shards.names(document)), _members(document)],
        "recordSet": [_classes(document), _clips(document)],
    }


def _shard(folder: Path, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": Path(name).stem,
        "contentUrl": name,
        "contentSize": f"{(folder / name).stat().st_size} B",
        "encodingFormat": "application/x-tar",
        "sha256": storage.sha256_file(folder / name),
    }


def _members(document: SetDocument) -> dict[str, Any]:
    video = document.export.payload == "video"
    return {
        "@type": "cr:FileSet",
        "@id": "members",
        "name": "members",
        "description": "The clips in the shards"
        + (": lossless H.264 in RGB." if video else ": the tensor video_T3HW, uint8, in safetensors."),
        "containedIn": [{"@id": name} for name in shards.names(document)],
        "encodingFormat": "video/mp4" if video else "application/octet-stream",
        "includes": f"*.{shards.ENDINGS[document.export.payload]}",
    }


def _classes(document: SetDocument) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/label"},
        "field": [_field("classes/label", "sc:Integer"), _field("classes/name", "sc:Text")],
        "data": [{"classes/label": label, "classes/name": name} for label, name in enumerate(document.classes)],
    }


def _clips(document: SetDocument) -> dict[str, Any]:
    def of_name(regex: str) -> dict[str, Any]:
        """Part of what a member is called: 0002-walk-000.mp4."""
        return {"extract": {"fileProperty": "filename"}, "transform": {"regex": regex}}

    members = {"fileSet": {"@id": "members"}}
    fields = [
        _field("clips/key", "sc:Text", source=members | of_name(r"^([^.]+)\.")),
        # No reference to classes/label: mlcroissant would join what it cut out of a name, a text, with a number.
        _field("clips/label", "sc:Integer", source=members | of_name(r"^(\d+)-")),
    ]
    if document.export.payload == "video":
        content = {"extract": {"fileProperty": "content"}}
        fields.append(_field("clips/video", "sc:VideoObject", source=members | content))
    return {"@type": "cr:RecordSet", "@id": "clips", "name": "clips", "field": fields}


def _field(id: str, data_type: str, **more: Any) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": id, "name": id, "dataType": data_type} | more
