"""How this process takes memory from a Linux host: kept, and in large pages.

A step of a network makes and drops tensors of many megabytes. By default glibc gives each back to the kernel, and every
new one comes as pages of 4 KiB that the kernel clears one by one as they are first touched: on a CPU a third of a
forward pass (docs/benchmarks.md).
"""

from __future__ import annotations

import ctypes
import os
import sys

#: mallopt(3): give nothing back below this free amount at the end of the heap; take so much at a time; and blocks up to
#: so large, glibc's own limit, from the heap.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT, _AT_A_TIME, _LARGEST = (1 << 31) - 1, 64 << 20, 32 << 20


def keep() -> None:
    """Keep what was taken, for this process's life; before torch is imported. Elsewhere than on glibc, do nothing.

    Blocks of over 32 MiB still go back; torch is asked to take these in huge pages, where the kernel grants them.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform != "linux" or os.environ.keys() & {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}:
        return  # whoever sets these has a mind of their own
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _AT_A_TIME)):
            mallopt(option, value)
