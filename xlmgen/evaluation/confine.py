"""Sandbox the current process irreversibly, before it runs untrusted code.

Three Linux mechanisms, which need no privileges and which the process cannot undo:

* resource limits: memory, CPU time, open files, and files written of 0 bytes
* Landlock: only Python's own library can be opened, and only for reading
* seccomp: system calls that are not in `CALLS` fail. None of those in `CALLS` starts a
  process or a thread, connects, sends a signal, or changes a file or its attributes

Only the standard library is imported, since this runs in a bare interpreter.
"""

import ctypes
import os
import platform
import resource
import struct
import sys

READABLE = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
OPEN_FILES = 32

# Call numbers on x86_64 and aarch64; aarch64 lacks some older calls.
CALLS: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "pipe": (22, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, None),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "uname": (63, 160),
    "getdents": (78, None),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "readlink": (89, None),
    "umask": (95, 166),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "arch_prctl": (158, None),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "dup3": (292, 24),
    "pipe2": (293, 59),
    "getrandom": (318, 278),
    "statx": (332, 291),
    "rseq": (334, 293),
    "faccessat2": (439, 439),
}
FCNTL = (72, 25)
# Only duplicate a descriptor or get and set its flags: F_SETOWN and F_SETSIG, which
# are not listed, would let a program send signals.
FCNTL_COMMANDS = (0, 1, 2, 3, 1030)
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3


class CannotConfineError(Exception):
    """The system lacks a mechanism of the sandbox."""


def limit(*, seconds: int, memory: int) -> None:
    """Limit the resources of this process.

    Args:
        seconds: of CPU time.
        memory: bytes of address space.
    """
    for what, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, seconds, seconds + 1),  # SIGXCPU first, then SIGKILL
    ):
        present = resource.getrlimit(what)[1]  # a hard limit can only be lowered
        most = hard if present == resource.RLIM_INFINITY else min(hard, present)
        resource.setrlimit(what, (min(soft, most), most))


def confine() -> None:
    """Deny this process files, other processes and the network.

    Raises:
        CannotConfineError: a mechanism failed; run nothing then.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ARCHITECTURES:
        raise CannotConfineError(f"programs are confined on Linux only, on {_known()}")
    libc = ctypes.CDLL(None, use_errno=True)
    # Not dumpable: no core dump, even where the system pipes those to a program.
    for option, value in ((PR_SET_DUMPABLE, 0), (PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise CannotConfineError(f"prctl failed ({_reason()})")
    _landlock(libc)
    _seccomp(libc, *ARCHITECTURES[machine])


def _known() -> str:
    return " and ".join(ARCHITECTURES)


def _reason() -> str:
    return os.strerror(ctypes.get_errno())


def _landlock(libc: ctypes.CDLL) -> None:
    """Allow reading Python's library and deny opening any other file."""
    version = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        raise CannotConfineError(f"the kernel has no Landlock ({_reason()})")
    rights = (1 << 13) - 1  # those of version 1; later versions add one each
    rights |= sum(
        1 << bit for bit, since in ((13, 2), (14, 3), (15, 5)) if version >= since
    )
    ruleset = ctypes.create_string_buffer(struct.pack("=Q", rights), 8)
    rules = libc.syscall(LANDLOCK_CREATE, ruleset, ctypes.c_size_t(8), 0)
    if rules < 0:
        raise CannotConfineError(f"Landlock failed ({_reason()})")
    library = (*READABLE, os.path.join(sys.base_prefix, "lib"), *sys.path)
    for path in library:
        if not os.path.exists(path):
            continue
        allowed = EXECUTE | READ_FILE | (READ_DIR if os.path.isdir(path) else 0)
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", allowed, folder), 12)
        if libc.syscall(LANDLOCK_ADD, rules, 1, rule, 0):
            raise CannotConfineError(f"Landlock refused {path} ({_reason()})")
        os.close(folder)
    if libc.syscall(LANDLOCK_RESTRICT, rules, 0):
        raise CannotConfineError(f"Landlock failed ({_reason()})")
    os.close(rules)


def _seccomp(libc: ctypes.CDLL, column: int, architecture: int) -> None:
    """Make every system call fail that is not listed in `CALLS`.

    Args:
        column: of the machine, in `CALLS` and `FCNTL`.
        architecture: AUDIT_ARCH constant of the machine.
    """
    load, equal, stop = 0x20, 0x15, 0x06  # BPF instructions
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # 1 is EPERM
    number, arch, second_argument = 0, 4, 24  # offsets in struct seccomp_data
    program = [
        (load, 0, 0, arch),
        (equal, 1, 0, architecture),
        (stop, 0, 0, kill),
        (load, 0, 0, number),
    ]
    for call in (numbers[column] for numbers in CALLS.values()):
        if call is not None:
            program += [(equal, 0, 1, call), (stop, 0, 0, allow)]
    program += [(equal, 1, 0, FCNTL[column]), (stop, 0, 0, refuse)]
    program += [(load, 0, 0, second_argument)]
    for command in FCNTL_COMMANDS:
        program += [(equal, 0, 1, command), (stop, 0, 0, allow)]
    program += [(stop, 0, 0, refuse)]
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    steps = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program), ctypes.addressof(steps))
    )
    if libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0):
        raise CannotConfineError(f"seccomp failed ({_reason()})")
