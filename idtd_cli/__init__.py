"""idtd: video dataset distillation (IDTD, arXiv 2412.00111).

`load` opens a distilled set, from a folder or from the Hugging Face Hub, to train on; `loader` gives batches of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from idtd_cli.version import __version__

if TYPE_CHECKING:
    import os

    from torch import Tensor
    from torch.utils.data import DataLoader

    from idtd_cli.training_set import TrainingSet, View

__all__ = ["__version__", "load", "loader"]


def load(
    source: str | os.PathLike[str], view: View = "sta", *, soft_labels: bool = False, endpoint: str | None = None
) -> TrainingSet:
    """Open a distilled set as a torch `Dataset` of (clip_CTHW, label): float32 and normalised, and the class's number.

    Args:
        source: a folder or, where there is none of that name, OWNER/NAME or OWNER/NAME@REVISION on the Hub.
        view: "sta", the temporal views that the set was made for, or "plain", whole videos.
        soft_labels: labels are the soft labels of the set, a share for each class; `TrainingSet.loss` knows what to do
            with them.
        endpoint: address of the Hub; default is HF_ENDPOINT or the public one.

    The result has `classes`, `normalisation` and `loss`, and the set itself: `videos_NT3HW` (uint8), `labels_N`,
    `logits_NKC` and `document`.

    Raises:
        idtd_cli.errors.InputError: there is no such set, or its files do not match their digests.
        idtd_cli.errors.IdtdError: the Hub cannot be reached.
    """
    from pathlib import Path

    from idtd_cli.training_set import TrainingSet, open_set

    return TrainingSet(open_set(source if isinstance(source, str) else Path(source), endpoint), view, soft_labels)


def loader(
    source: str | os.PathLike[str] | TrainingSet,
    batch_size: int | None = None,
    *,
    view: View = "sta",
    soft_labels: bool = False,
    num_workers: int = 0,
    endpoint: str | None = None,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches (clips_BCTHW, labels_B) of a distilled set in random order; what `load` takes, or what it gave.

    `batch_size` is that of the set's recipe unless it is named. The same `torch.manual_seed` and number of workers give
    the same batches.

    Raises:
        idtd_cli.errors.IdtdError: as `load` does.
    """
    from idtd_cli import training_set

    data = (
        source
        if isinstance(source, training_set.TrainingSet)
        else load(source, view, soft_labels=soft_labels, endpoint=endpoint)
    )
    return training_set.loader(data, batch_size, num_workers)
