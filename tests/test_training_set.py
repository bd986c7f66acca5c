from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

import idtd_cli
from idtd_cli import distilled
from idtd_cli.distilled import SetDocument
from idtd_cli.errors import InputError
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, read
from idtd_cli.recipe import AugmentationConfig, ClipConfig, EvaluateConfig, StudentFitConfig
from tests.hub_server import Hub, Repo

FRAMES, SEGMENTS, CLASSES = 6, 3, 2


def write(folder: Path, *, soft: bool = True, fit: StudentFitConfig | None = None, **augmentation: object) -> Path:
    evaluate = EvaluateConfig(
        augmentation=AugmentationConfig.model_validate(augmentation), fit=fit or StudentFitConfig(batch=4)
    )
    document = SetDocument(
        parents={}, method="idtd", seed=0, classes=("a", "b"), ipc=2, videos_a_class=2,
        clip=ClipConfig(frames=FRAMES, stored_frames=FRAMES, height=16, width=16), frames=FRAMES, segments=SEGMENTS,
        mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3), temperature=2.0 if soft else None, evaluate=evaluate,
        stored_frames=1, stored_bytes=1, fps=8,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    videos = torch.randint(0, 256, (4, FRAMES, 3, 16, 16), dtype=torch.uint8, generator=generator)
    logits = torch.randn(4, SEGMENTS, CLASSES, generator=generator) if soft else None
    folder.mkdir()
    distilled.write(folder, document, videos, torch.tensor([0, 0, 1, 1]), logits)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose views have nothing random."""
    return write(tmp_path_factory.mktemp("sets") / "plain")


@pytest.fixture(scope="module")
def stochastic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sets") / "stochastic", soft=False, window=0.5, speed=2.0)


def test_an_item_is_a_piece_of_a_video(plain: Path) -> None:
    data = idtd_cli.load(plain)
    assert (len(data), data.classes, data.document.segments) == (4 * SEGMENTS, ("a", "b"), SEGMENTS)
    clip_CTHW, label = data[7]  # piece 1 of video 2
    assert (clip_CTHW.shape, clip_CTHW.dtype, int(label)) == ((3, FRAMES, 16, 16), torch.float32, 1)
    piece = data.videos_NT3HW[2, 2:4].float() / 255
    expected = (piece - torch.tensor([0.4, 0.5, 0.6])[:, None, None]) / torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    torch.testing.assert_close(clip_CTHW[:, [0, -1]], expected.transpose(0, 1), rtol=1e-5, atol=1e-5)
    assert [int(label) for _, label in data] == [0] * 6 + [1] * 6
    assert torch.equal(data[-5][0], data[7][0])
    for index in (12, -13):
        with pytest.raises(IndexError):
            data[index]


def test_whole_videos(plain: Path) -> None:
    data = idtd_cli.load(plain, view="plain")
    assert len(data) == 4
    clip_CTHW, label = data[3]
    assert torch.equal(clip_CTHW, data.normalisation.normalise(data.videos_NT3HW[3]).transpose(0, 1))
    assert int(label) == 1


def test_a_batch_is_what_a_student_sees(stochastic: Path) -> None:
    data = idtd_cli.load(stochastic)
    torch.manual_seed(3)
    seen_BCTHW = torch.stack([clip for clip, _ in data.__getitems__(list(range(12)))])
    augmentation = TemporalAugmentation(SEGMENTS, window=0.5, speed=2.0)
    piece_B = torch.arange(12)
    views = augmentation.of_synthetic(piece_B // SEGMENTS, piece_B % SEGMENTS, torch.Generator().manual_seed(3))
    normalisation = Normalisation(data.document.mean, data.document.std, "cpu")
    expected = for_network(normalisation.normalise(read(data.videos_NT3HW, views, FRAMES)))
    assert torch.equal(seen_BCTHW, expected)


def test_flips_where_the_recipe_has_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", fit=StudentFitConfig(flip=True))
    data = idtd_cli.load(folder)
    torch.manual_seed(0)
    both = {tuple(data[0][0].flatten()[:8].tolist()) for _ in range(20)}
    assert len(both) == 2
    assert torch.equal(idtd_cli.load(folder, "plain")[0][0], idtd_cli.load(folder, "plain")[0][0])


def test_soft_labels(plain: Path, stochastic: Path) -> None:
    data = idtd_cli.load(plain, soft_labels=True)
    assert data.logits_NKC is not None
    label_C = data[7][1]
    torch.testing.assert_close(label_C, torch.softmax(data.logits_NKC[2, 1] / 2, 0))
    whole_C = idtd_cli.load(plain, "plain", soft_labels=True)[2][1]
    torch.testing.assert_close(whole_C, torch.softmax(data.logits_NKC[2].mean(0) / 2, 0))
    # The loss is that of students, of soft labels and of classes.
    scores_BC, piece_B = torch.randn(12, CLASSES), torch.arange(12)
    labels_B = torch.stack([label for _, label in data])
    views = TemporalAugmentation(SEGMENTS).of_synthetic(piece_B // SEGMENTS, piece_B % SEGMENTS, torch.Generator())
    expected = SoftLabels(data.logits_NKC, 2.0).loss(scores_BC, views)
    torch.testing.assert_close(data.loss(scores_BC, labels_B), expected)
    hard = idtd_cli.load(plain)
    labels_B = torch.stack([label for _, label in hard])
    assert torch.equal(hard.loss(scores_BC, labels_B), functional.cross_entropy(scores_BC, labels_B))
    with pytest.raises(InputError, match="has no soft labels"):
        idtd_cli.load(stochastic, soft_labels=True)


def test_an_unknown_view(plain: Path) -> None:
    with pytest.raises(InputError, match="There is no view 'x'"):
        idtd_cli.load(plain, view="x")  # type: ignore[arg-type]


def test_it_pickles(stochastic: Path) -> None:
    data = idtd_cli.load(stochastic)
    again = pickle.loads(pickle.dumps(data))
    drawn = []
    for each in (data, again):
        torch.manual_seed(0)
        drawn.append(torch.stack([clip for clip, _ in each]))
    assert torch.equal(*drawn)


def batches(
    loader: DataLoader[tuple[torch.Tensor, torch.Tensor]], seed: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(seed)
    return list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_follow_the_seed(stochastic: Path, workers: int) -> None:
    loader = idtd_cli.loader(stochastic, num_workers=workers)
    one, same, other = (batches(loader, seed) for seed in (0, 0, 1))
    assert [len(labels) for _, labels in one] == [4, 4, 4]
    assert one[0][0].shape == (4, 3, FRAMES, 16, 16)
    assert sorted(torch.cat([labels for _, labels in one]).tolist()) == [0] * 6 + [1] * 6
    assert all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(one, same, strict=True))
    assert not all(torch.equal(a, c) for (a, _), (c, _) in zip(one, other, strict=True))


def test_workers_and_epochs_draw_anew(stochastic: Path) -> None:
    loader = DataLoader(idtd_cli.load(stochastic), batch_size=6, num_workers=2)  # one batch a worker, in order
    torch.manual_seed(0)
    (first, _), (second, _) = loader
    (later, _), _ = loader
    assert not torch.equal(first, later)
    assert not torch.equal(first, second)


def test_batches_of_a_size_or_of_a_set_that_is_open(plain: Path) -> None:
    assert [len(labels) for _, labels in idtd_cli.loader(plain, 100)] == [12]
    assert [len(labels) for _, labels in idtd_cli.loader(idtd_cli.load(plain, "plain"), 3)] == [3, 1]


def test_from_the_hub(
    hub: Hub, published: Repo, exported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    data = idtd_cli.load("someone/motions@v1", view="plain")
    here = idtd_cli.load(exported, view="plain")
    assert torch.equal(data.videos_NT3HW, here.videos_NT3HW)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(data, here, strict=True))
    # Its clips are all that is fetched.
    assert len([request for request in hub.requests if request.startswith("GET /large")]) == 1
    assert len(list(idtd_cli.loader("someone/motions", 2, view="plain", endpoint=hub.url))) == 2
    with pytest.raises(InputError, match=r"There is no folder someone/else here. There is no dataset someone/else on"):
        idtd_cli.load("someone/else")
    with pytest.raises(InputError, match=r"There is no folder nowhere here\. 'nowhere' is no dataset on the Hub"):
        idtd_cli.load("nowhere")
    # A folder comes first.
    Path("someone").mkdir()
    Path("someone/motions").symlink_to(exported)
    hub.requests.clear()
    assert torch.equal(idtd_cli.load("someone/motions").videos_NT3HW, here.videos_NT3HW)
    assert hub.requests == []


def test_nothing_heavy_is_loaded_with_the_package() -> None:
    code = "import sys, idtd_cli; print(*{'torch', 'huggingface_hub', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
