from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.hub.local_file import LocalFile
from idtd_cli.hub.uploading import _BATCH_BYTES, _BATCH_FILES, _Addition, _batches
from idtd_cli.runlog import Meter
from tests.tiny import Heard


@given(st.lists(st.integers(0, _BATCH_BYTES + 1), max_size=20), st.integers(0, 2 * _BATCH_FILES))
def test_a_batch_is_no_larger_than_it_may_be(sizes: list[int], small: int) -> None:
    files = {f"{number}": LocalFile(b"", size, "") for number, size in enumerate([*sizes, *[1] * small])}
    batches = [*_batches(files)]
    assert [path for batch in batches for path in batch] == list(files)  # each file once, in order
    for batch in batches:
        assert 0 < len(batch) <= _BATCH_FILES
        assert len(batch) == 1 or sum(file.size for file in batch.values()) <= _BATCH_BYTES


def test_what_is_read_to_be_sent_is_told(tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(b"x" * 3_000_000)
    heard = Heard()
    addition = _Addition("data/shard", tmp_path / "shard", Meter(heard))
    assert addition.upload_info.sha256  # the client reads all of it to know its digest
    with addition.as_file() as file:
        assert len(file.read()) == 3_000_000
    assert heard.advanced == 0
    told = []
    with addition.as_file(with_tqdm=True) as file:
        while file.read(1_000_000):
            told.append(heard.advanced)
        file.seek(0)  # once more, after a connection broke
        file.read(500_000)
    assert told == [1, 2, 3]
    assert heard.advanced == 3
