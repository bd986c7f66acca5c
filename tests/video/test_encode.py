from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from idtd_cli.errors import IdtdError
from idtd_cli.video import decode, encode


def noise(frames: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def facts(path: Path) -> tuple[str, str, int, int, float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.name, stream.format.name, stream.width, stream.height, float(stream.average_rate)


@pytest.mark.parametrize("shape", [(1, 16, 16), (16, 112, 112), (5, 33, 17), (3, 4, 4)])
def test_lossless_comes_back_exactly(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    frames = noise(*shape)
    encode.write_lossless(tmp_path / "v.mp4", frames, 8)
    assert (decode.read_exact(tmp_path / "v.mp4") == frames).all()


@pytest.mark.parametrize("kind", ["lossless", "viewable"])
def test_same_frames_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    write = encode.write_lossless if kind == "lossless" else encode.write_viewable
    frames = noise(16, 64, 64)
    for i in range(3):
        write(tmp_path / f"{i}.mp4", frames, 8)
    assert len({(tmp_path / f"{i}.mp4").read_bytes() for i in range(3)}) == 1


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [(64, 64, (128, 128)), (48, 100, (300, 144)), (112, 112, (224, 224)), (129, 131, (132, 130)), (4, 4, (128, 128))],
)
def test_viewable_is_enlarged_even_and_ordinary(
    tmp_path: Path, height: int, width: int, shown: tuple[int, int]
) -> None:
    frames = np.repeat(noise(1, height, width) // 8 + 100, 10, axis=0)
    encode.write_viewable(tmp_path / "v.mp4", frames, 12.5)
    assert facts(tmp_path / "v.mp4") == ("h264", "yuv420p", *shown, 12.5)
    data = (tmp_path / "v.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before all of it has come


def test_plain_h264_keeps_its_size_and_looks_the_same(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    frames = np.broadcast_to(ramp[None, None, :, None], (8, 64, 64, 3)).copy()
    encode.write_h264(tmp_path / "v.mp4", frames, 16, crf=12)
    assert facts(tmp_path / "v.mp4")[2:] == (64, 64, 16.0)
    assert np.abs(decode.read_exact(tmp_path / "v.mp4").astype(int) - frames).mean() < 3


def test_names_with_colons_and_dashes_are_names(tmp_path: Path) -> None:
    for name in ("http:x.mp4", "-y.mp4", "a b %d.mp4"):
        encode.write_lossless(tmp_path / name, noise(2, 16, 16), 8)
        assert (decode.read_exact(tmp_path / name) == noise(2, 16, 16)).all()


def test_a_failure_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(IdtdError, match=r"could not be encoded; ffmpeg says: .*No such file") as raised:
        encode.write_lossless(tmp_path / "nowhere" / "v.mp4", noise(2, 16, 16), 8)
    assert "\n" not in str(raised.value)


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode.write_lossless(tmp_path / "v.mp4", np.zeros((2, 16, 16, 3)), 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint8"):
        encode.write_lossless(tmp_path / "v.mp4", np.zeros((0, 16, 16, 3), np.uint8), 8)
