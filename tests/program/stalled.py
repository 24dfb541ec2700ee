"""Lets the files that are named not be opened, or not be read, until it is killed.

usage: stalled.py open|read FILE...

It is asked for permission by the kernel (fanotify(7)), and does not answer. It prints a line when
it has begun.
"""

import ctypes
import os
import sys
import time

FAN_CLASS_CONTENT, FAN_CLOEXEC, FAN_MARK_ADD = 4, 1, 1
MASKS = {"open": 0x10000, "read": 0x20000}

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


mask = ctypes.c_uint64(MASKS[sys.argv[1]])
group = check(libc.fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, os.O_RDONLY))
for file in sys.argv[2:]:
    check(libc.fanotify_mark(group, FAN_MARK_ADD, mask, -100, os.fsencode(file)))
print("stalled", flush=True)
time.sleep(600)
