"""How fast `idtd prepare` decodes, against a bare decoding loop and against the way the peers do it.

    python benchmarks/prepare.py DIR [--videos 1000] [--frames 16] [--rounds 5]

Makes videos like those of UCF101 once: MPEG-4 with B-frames in AVI, 320×240, 25 frames a second, 7 seconds, 500 KB.
Then, in turn and on all cores, `--frames` uniform frames of each at 112×112, by

- the whole command `idtd prepare`, from the start of Python to the finished set;
- a bare loop: one process a core, PyAV in order, each wanted frame resized; no limits, no checks, nothing written;
- the peers' way, on a tenth of the videos: an ffmpeg process a video writes all frames as JPEG, and Pillow reads and
  resizes those that are wanted. For UCF101 they resize all frames in a pass of its own, which is spared them here.

At the end it prepares again, which finds everything done, and opens the index of a set of 100,000 clips.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import yaml
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image, ImageOps

from idtd_cli import provenance, storage
from idtd_cli.prepared import PreparedSet, Writer
from idtd_cli.recipe import ClipConfig, SplitConfig
from idtd_cli.video import sample

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
CLASSES, SECONDS, FPS, SIZE = 10, 7, 25, 112


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    clip = ClipConfig(frames=asked.frames, stored_frames=asked.frames, height=SIZE, width=SIZE)
    source = asked.dir / f"videos-{asked.videos}"
    videos = make_videos(source, asked.videos)
    for video in videos:
        video.read_bytes()  # from here on, each way finds them in the page cache
    few = videos[:: max(1, len(videos) // max(50, len(videos) // 10))]
    speeds: dict[str, list[float]] = {"idtd prepare": [], "bare loop": [], "peers' way": []}
    peak = 0
    for number in range(asked.rounds):
        seconds, peak_now = idtd(source, asked.dir / "prepared", clip)
        peak = max(peak, peak_now)
        speeds["idtd prepare"].append(len(videos) / seconds)
        speeds["bare loop"].append(len(videos) / took(bare_loop, videos, clip))
        speeds["peers' way"].append(len(few) / took(peers_way, few, clip, asked.dir / "jpegs"))
        print(f"round {number + 1}:", ", ".join(f"{name} {of[-1]:.1f}" for name, of in speeds.items()), flush=True)
    again, _ = idtd(source, asked.dir / "prepared", clip, fresh=False)
    report(speeds, len(videos), len(few), asked.frames, peak, again, open_large_index(asked.dir / "large"))


def report(
    speeds: dict[str, list[float]], videos: int, few: int, frames: int, peak: int, again: float, opening: float
) -> None:
    """What docs/benchmarks.md holds, as Markdown."""
    ours = speeds["idtd prepare"]
    print(f"\n{provenance.hardware('cpu')}; {provenance.versions()}\n")
    print(f"{videos} videos ({few} the peers' way), {frames} frames of each, {len(ours)} rounds, interleaved.\n")
    print("| | clips a second, median (least to most) | idtd prepare / it, median (least to most) |")
    print("| --- | --- | --- |")
    for name, of in speeds.items():
        ratios = [our / other for our, other in zip(ours, of, strict=True)]
        print(f"| {name} | {spread(of, 1)} | {spread(ratios, 2) if of is not ours else ''} |")
    print(f"\nPeak memory of the command's main process: {peak / 2**20:.0f} MiB. A second run, which finds all of it")
    print(f"done: {again:.1f} s. The index of 100,000 clips opens in {opening:.1f} s.")


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def took(way: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    way(*arguments)
    return time.perf_counter() - start


def idtd(source: Path, out: Path, clip: ClipConfig, *, fresh: bool = True) -> tuple[float, int]:
    """Seconds that the command takes, and the peak memory of its main process in bytes."""
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    recipe = out.with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump({"name": "speed", "prepare": {"clip": clip.model_dump()}}))
    command = [sys.executable, "-m", "idtd_cli", "prepare", str(source), str(out), "--recipe", str(recipe)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def bare_loop(videos: list[Path], clip: ClipConfig) -> None:
    with get_context("fork").Pool(provenance.cores()) as pool:
        for _ in pool.imap_unordered(partial(bare, clip=clip), videos, chunksize=4):
            pass


def bare(video: Path, clip: ClipConfig) -> int:
    """Decode and resize as `idtd prepare` does, and do nothing else."""
    kept: list[NDArray[np.uint8]] = []
    reformatter = VideoReformatter()
    area = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        wanted = set(sample.indices(stream.frames, clip, "").tolist())
        wide = round(stream.width * clip.height / stream.height)
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                small = reformatter.reformat(frame, wide, clip.height, "rgb24", interpolation=area, threads=1)
                left = (wide - clip.width) // 2
                kept.append(small.to_ndarray()[:, left : left + clip.width])
    return np.stack(kept).nbytes


def peers_way(videos: list[Path], clip: ClipConfig, folder: Path) -> None:
    with ThreadPoolExecutor(provenance.cores()) as pool:
        list(pool.map(partial(to_jpegs, folder=folder), videos))
    with get_context("fork").Pool(provenance.cores()) as pool:
        pool.map(partial(from_jpegs, clip=clip), [folder / video.stem for video in videos])
    shutil.rmtree(folder)


def to_jpegs(video: Path, folder: Path) -> None:
    into = folder / video.stem
    into.mkdir(parents=True)
    command = [FFMPEG, "-v", "error", "-threads", "1", "-i", video, "-q:v", "2", into / "frame%06d.jpg"]
    subprocess.run(command, check=True)


def from_jpegs(folder: Path, clip: ClipConfig) -> int:
    frames = sorted(folder.iterdir())
    picks = sample.indices(len(frames), clip, "").tolist()
    size = (clip.width, clip.height)
    return np.stack([np.asarray(ImageOps.fit(Image.open(frames[pick]), size)) for pick in picks]).nbytes


def make_videos(folder: Path, count: int) -> list[Path]:
    """The videos, sorted; those that are there are not made again."""
    videos = [folder / f"class{number % CLASSES:02d}" / f"video{number:05d}.avi" for number in range(count)]
    for video in videos[:CLASSES]:
        video.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(provenance.cores()) as pool:
        list(pool.map(make_video, videos, range(count)))
    return sorted(videos)


def make_video(video: Path, seed: int) -> None:
    """A camera that pans over a texture, something that moves before it, and the noise of a sensor."""
    if video.exists():
        return
    rng = np.random.default_rng(seed)
    pictures = [video.with_suffix(".back.png"), video.with_suffix(".front.png")]
    for picture, (height, width) in zip(pictures, [(480, 640), (96, 64)], strict=True):
        Image.fromarray(texture(rng, height, width)).save(picture)
    pan_x, pan_y, move_x, move_y = rng.uniform(0.5, 1.3, 2).tolist() + rng.uniform(1.5, 4, 2).tolist()
    graph = (
        "[0]format=yuv420p,loop=-1:1:0,"
        f"crop=320:240:x='160+120*sin(t*{pan_x})':y='120+80*sin(t*{pan_y})'[back];"
        "[1]format=yuv420p,loop=-1:1:0[front];"
        f"[back][front]overlay=x='128+120*sin(t*{move_x})':y='72+70*cos(t*{move_y})',"
        f"noise=alls=6:allf=t:all_seed={seed},format=yuv420p"
    )
    inputs = [argument for picture in pictures for argument in ("-framerate", str(FPS), "-i", str(picture))]
    codec = ["-c:v", "mpeg4", "-vtag", "XVID", "-q:v", "5", "-bf", "1", "-threads", "1", "-t", str(SECONDS)]
    part = video.with_suffix(".part")
    command = [FFMPEG, "-v", "error", "-y", *inputs, "-filter_complex", graph, *codec, "-f", "avi", str(part)]
    subprocess.run(command, check=True)
    for picture in pictures:
        picture.unlink()
    part.rename(video)


def texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3): noise of many grain sizes, the coarse ones strongest, as in photographs."""
    total = np.zeros((height, width, 3))
    for cell in (64, 32, 16, 8, 4, 2):
        grains = rng.integers(0, 256, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
        smooth = Image.fromarray(grains).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, dtype=np.float64) - 128) * cell**0.5
    return (total / total.std() * 45 + 120).clip(0, 255).astype(np.uint8)


def open_large_index(folder: Path, count: int = 100_000) -> float:
    """Seconds that a set with an index of this length, of the smallest clips, takes to open."""
    classes = tuple(f"class{label:03d}" for label in range(100))
    clip = ClipConfig(frames=1, stored_frames=1, height=4, width=4)
    if not folder.exists():
        frame_F3HW = np.zeros((1, 3, 4, 4), dtype=np.uint8)
        versions = {"pyav": "1"}
        with storage.resumable_folder(folder) as unfinished, closing(Writer(unfinished, clip, {}, versions)) as writer:
            for number in range(count):
                label = number * len(classes) // count
                writer.add(
                    frame_F3HW,
                    id=f"{classes[label]}/{number:06d}.avi",
                    label=label,
                    split="train",
                    group=None,
                    frames=175,
                    first=0,
                    last=174,
                    seconds=7.0,
                    width=320,
                    height=240,
                    decoder="pyav",
                )
            writer.finish(
                source="large",
                source_kind="folder",
                classes=classes,
                split=SplitConfig(),
                limit=0,
                recipe_yaml="",
            )
    return took(PreparedSet.open, folder)


if __name__ == "__main__":
    main()
