from __future__ import annotations

from pathlib import Path

import av
import pytest
import torch

from idtd_cli.distilled import viewable
from idtd_cli.errors import IdtdError
from idtd_cli.recipe import ClipConfig
from idtd_cli.sources.registry import find
from tests.distilled import making
from tests.distilled.making import FRAMES


def gradient(height: int, width: int) -> torch.Tensor:
    """Two videos of smooth colours that change: (2, T, 3, H, W)."""
    y, x = torch.meshgrid(torch.linspace(0, 200, height), torch.linspace(0, 200, width), indexing="ij")
    frames = torch.stack([torch.stack([y, x, (y + x) / 2]) + 5 * t for t in range(FRAMES)])
    return torch.stack([frames, frames.flip(0)]).to(torch.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewable") / "set"
    making.small(folder, classes=("lie down", "walk"))
    return folder


def test_a_video_lies_in_the_folder_of_its_class(written: Path) -> None:
    found = sorted(path.relative_to(written).as_posix() for path in written.glob("videos/*/*"))
    assert found == ["videos/lie_down/0000-lie_down-000.mp4", "videos/walk/0001-walk-000.mp4"]
    assert viewable.names(making.of(written)) == found
    source = find(str(written / "videos"))  # they are a source as they lie
    assert (source.classes, len(source.videos)) == (("lie_down", "walk"), 2)


def test_browsers_can_play_it(written: Path) -> None:
    """H.264 in 4:2:0 with even sides, and what describes the frames before them."""
    for path in written.glob("videos/*/*.mp4"):
        with av.open(str(path)) as container:
            (stream,) = container.streams
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert stream.width % 2 == stream.height % 2 == 0
            assert min(stream.width, stream.height) >= 128
            assert sum(1 for _ in container.decode(stream)) == FRAMES
        data = path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("height", "width"), [(6, 10), (32, 32), (7, 9), (112, 112), (113, 129)])
def test_what_it_loses_is_known(tmp_path: Path, height: int, width: int) -> None:
    clip = ClipConfig(frames=FRAMES, stored_frames=FRAMES, height=height, width=width)
    document, videos = making.document(classes=("a", "b"), videos_a_class=1, clip=clip), gradient(height, width)
    document = viewable.write(tmp_path, document, videos, lambda: None)
    read = viewable.read(tmp_path, document)
    assert read.shape == videos.shape
    assert read.dtype == torch.uint8
    apart = (read.float() - videos.float()).abs().mean(dim=(1, 2, 3, 4))
    assert document.lossy_error == pytest.approx(float(apart.mean()), abs=1e-3)
    assert 0 < document.lossy_error < 3


def test_a_video_that_ends_early_is_refused(written: Path, tmp_path: Path) -> None:
    document = making.of(written)
    longer = document.model_copy(update={"frames": 5})
    with pytest.raises(IdtdError, match=r"0000-lie_down-000\.mp4 has 4 frames"):
        viewable.read(written, longer)
