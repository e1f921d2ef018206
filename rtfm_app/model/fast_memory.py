"""Memory that is freed stays with the process, in large pages.

A frame allocates and frees some hundred megabytes in pieces of a few. By default glibc hands such
pieces back to the system at once, and taking them again costs a page fault for every four
kilobytes: a third of a frame's time on a virtual machine. Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_MMAP_THRESHOLD = 32 << 20  # what glibc accepts
MADV_HUGEPAGE = 14  # mman.h, Linux
RESERVED_BYTES = 384 << 20  # of address space; memory only once it is touched


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory and Linux to back it by huge pages; may be called again.

    Returns:
        whether it could be done here.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    kept = libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    kept = kept and libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    if kept:
        _reserve(libc)
    return bool(kept)


def _reserve(libc: ctypes.CDLL) -> None:
    """Grow the heap now, so that what is to come lies in memory advised to be in huge pages."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    piece = LARGEST_MMAP_THRESHOLD // 2
    pieces = [libc.malloc(piece) for _ in range(RESERVED_BYTES // piece)]
    for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
        if line.endswith("[heap]"):
            start, end = (int(x, 16) for x in line.split(maxsplit=1)[0].split("-"))
            page = 2 << 20
            start = -(-start // page) * page
            libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
            libc.madvise(start, end - start, MADV_HUGEPAGE)
    for address in pieces:
        libc.free(address)
