"""Sets whose owner offers them as archives: where these lie, what they hold, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Archive:
    """One file at its owner's, and where what it holds goes."""

    url: str
    digest: str  #: `sha256:…` or `md5:…`, as published by somebody who checked it
    bytes: int | None = None  #: None where nobody published it: the server says
    top: str = ""  #: the folder in it whose contents are wanted; all of it by default
    beside: str | None = None  #: goes to the folder of this name beside PLACE; None: to PLACE itself
    nested: bool = False  #: it holds archives, which are unpacked in turn

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.rpartition("/")[2]

    def kept(self, place: Path) -> Path:
        """Where the archive itself lies: beside PLACE."""
        return place.parent / self.name

    def target(self, place: Path) -> Path:
        """The folder that it is unpacked to."""
        return place.parent / self.beside if self.beside else place


@dataclass(frozen=True)
class Offer:
    """What an owner offers."""

    title: str
    page: str  #: the owner's own page
    terms: str  #: the licence as the owner states it, or that none is stated
    citation: str
    archives: tuple[Archive, ...]


# Where the figures below were found. The sha256: torchvision/prototype/datasets/_builtin/{ucf101,hmdb51}.py of
# github.com/pytorch/vision. That of UCF101's lists is also, with their size, in tensorflow_datasets/url_checksums/
# ucf101.txt of github.com/tensorflow/datasets. The size of UCF101.rar is the Content-Length of its server, as quoted by
# others; those of HMDB51's archives are published nowhere that we know of.

_UCF101 = Offer(
    title="UCF101",
    page="https://www.crcv.ucf.edu/data/UCF101.php",
    terms="We know of no licence that the owner states: see the owner's page. The videos were collected from YouTube, "
    "and the rights in them are their makers'.",
    citation="K. Soomro, A. R. Zamir and M. Shah, UCF101: A Dataset of 101 Human Actions Classes From Videos in The "
    "Wild, CRCV-TR-12-01, 2012.",
    archives=(
        Archive(
            "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
            "sha256:5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27",
            bytes=113_943,
            top="ucfTrainTestlist",
            beside="ucfTrainTestlist",
        ),
        Archive(
            "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar",
            "sha256:ca8dfadb4c891cb11316f94d52b6b0ac2a11994e67a0cae227180cd160bd8e55",
            bytes=6_932_971_618,
            top="UCF-101",
        ),
    ),
)

_HMDB51 = Offer(
    title="HMDB51",
    page="https://serre.lab.brown.edu/hmdb51.html",
    terms="HMDB by H. Kuehne, H. Jhuang, E. Garrote, T. Poggio, T. Serre is licensed under a Creative Commons "
    "Attribution 4.0 International License (https://creativecommons.org/licenses/by/4.0/). The clips were cut from "
    "films and web videos, in which others may have rights.",
    citation="H. Kuehne, H. Jhuang, E. Garrote, T. Poggio and T. Serre, HMDB: A Large Video Database for Human Motion "
    "Recognition, ICCV 2011.",
    archives=(
        Archive(
            "https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/test_train_splits.rar",
            "sha256:229c94f845720d01eb3946d39f39292ea962d50a18136484aa47c1eba251d2b7",
            top="testTrainMulti_7030_splits",
            beside="testTrainMulti_7030_splits",
        ),
        Archive(
            "https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/hmdb51_org.rar",
            "sha256:9e714a0d8b76104d76e932764a7ca636f929fff66279cda3f2e326fa912a328e",
            nested=True,
        ),
    ),
)

#: By kind of source. MiniUCF is a part of UCF101.
OFFERS: dict[str, Offer] = {"ucf101": _UCF101, "miniucf": _UCF101, "hmdb51": _HMDB51}
