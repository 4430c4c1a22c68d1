"""What a process gives up before it reads bytes that nobody vouches for. Linux only, as the platform is."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from typing import Any

ADDRESSES = 1536 * 1024 * 1024
"""Bytes of address space: a picture of 64 megapixels fits, in every step that it goes through."""
CPU_SECONDS = 60
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_AS: ADDRESSES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_NPROC: 0,  # and no thread
    resource.RLIMIT_NOFILE: 0,  # a descriptor of any number is one too many
}
_NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_FILTER = 2  # SECCOMP_MODE_FILTER
# By architecture: what the kernel calls it (AUDIT_ARCH), and the numbers of calls that touch other processes:
# execve, execveat, kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, ptrace, prlimit64,
# process_vm_readv, process_vm_writev.
_CALLS = {
    "x86_64": (0xC000003E, (59, 322, 62, 200, 234, 129, 297, 101, 302, 310, 311)),
    "aarch64": (0xC00000B7, (221, 281, 129, 130, 131, 138, 240, 117, 261, 270, 271)),
}
_X32 = 0x40000000  # numbers of another dialect of x86-64 begin here
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of classic BPF
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Be killed when the process that started this one ends, however it ends."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def enter() -> None:
    """From here on no file, no socket, no program can be opened, and no other process be touched.

    What is open stays open. Whatever is needed has to be imported before.
    """
    parent = os.getppid()
    for kind, limit in _LIMITS.items():
        resource.setrlimit(kind, (limit, limit))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
        die_with(parent)  # a change of user clears it
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if platform.machine() in _CALLS:
        program = _program(*_CALLS[platform.machine()])
        code = ctypes.create_string_buffer(program)
        _prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(program) // 8, ctypes.addressof(code))))


class _Program(ctypes.Structure):
    """`struct sock_fprog`: how many instructions, and where."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def _program(architecture: int, refused: tuple[int, ...]) -> bytes:
    """Refuse these calls, and all of other architectures (seccomp(2))."""
    most = len(refused)
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 0, most + 3, architecture), (_LOAD, 0, 0, 0)]
    lines += [(_AT_LEAST, most + 1, 0, _X32)]
    lines += [(_EQUAL, most - at, 0, number) for at, number in enumerate(refused)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _prctl(what: int, *values: Any) -> None:
    if _libc.prctl(what, *values, *[0] * (4 - len(values))):
        raise OSError(ctypes.get_errno(), "the kernel refused a limit")
