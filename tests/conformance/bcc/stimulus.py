"""What happens on the machine while a tool runs, so that it has something to show; and a stand-in for a database server.

A loop in a process of its own uses a file, starts a program and a thread, talks to itself by TCP, hands over a descriptor,
and in a guest mounts a file system.  The stand-in is a C program with the function and the static probes that three tools look
for in mysqld; where there is no compiler those tools have nothing to look at.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PAUSE_S = 0.3
_LIBC = ctypes.CDLL(None)
_SERVER = r"""
#include <pthread.h>
#include <unistd.h>
#define NOTE(name, arguments, ...) \
    asm volatile("990: nop\n" \
        ".pushsection .note.stapsdt,\"\",\"note\"\n .balign 4\n .4byte 992f-991f, 994f-993f, 3\n" \
        "991: .asciz \"stapsdt\"\n 992: .balign 4\n" \
        "993: .8byte 990b\n .8byte _.stapsdt.base\n .8byte 0\n" \
        " .asciz \"mysql\"\n .asciz \"" name "\"\n .asciz \"" arguments "\"\n 994: .balign 4\n .popsection\n" \
        ".ifndef _.stapsdt.base\n .pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
        ".weak _.stapsdt.base\n .hidden _.stapsdt.base\n _.stapsdt.base: .space 1\n .size _.stapsdt.base, 1\n" \
        ".popsection\n .endif\n" :: __VA_ARGS__)
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, two = PTHREAD_MUTEX_INITIALIZER;
__attribute__((noinline)) void _Z16dispatch_command19enum_server_commandP3THDPcjbb(int command, void *thread, char *query) {
    (void)*(volatile char *)query; /* what nobody has read is not in memory, where a program could see it */
    NOTE("query__start", "8@%0 -8@%1 8@%2 8@%3 8@%4", "r"(query), "r"(1L), "r"(query), "r"(query), "r"(query));
    usleep(5000);
    NOTE("query__done", "-4@%0", "r"(0));
}
int main(void) {
    for (;;) {
        pthread_mutex_lock(&one);
        pthread_mutex_lock(&two);
        _Z16dispatch_command19enum_server_commandP3THDPcjbb(3, 0, "SELECT 1");
        pthread_mutex_unlock(&two);
        pthread_mutex_unlock(&one);
        usleep(300000);
    }
}
"""


@contextlib.contextmanager
def stimulus(directory: Path) -> Iterator[None]:
    """Let things happen, in a directory of its own, until the block ends."""
    pid = os.fork()
    if not pid:
        _happen(directory)
    try:
        yield
    finally:
        _end(pid)


@contextlib.contextmanager
def server(directory: Path) -> Iterator[int]:
    """Run the stand-in; give its process, or 0 when there is no compiler for it."""
    program = build_server(directory)
    if program is None:
        yield 0
        return
    process = subprocess.Popen([str(program)])
    try:
        yield process.pid
    finally:
        _end(process.pid)


def build_server(directory: Path) -> Path | None:
    """Return the stand-in, compiled when it was not."""
    program = directory / "mysqld"
    compiler = shutil.which("gcc")
    if not program.exists() and compiler:
        mine = directory / f"mysqld-{os.getpid()}"
        subprocess.run([compiler, "-O1", "-x", "c", "-o", str(mine), "-"], input=_SERVER.encode(), check=True)
        mine.rename(program)
    return program if program.exists() else None


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _happen(directory: Path) -> None:
    path = str(directory / f"stimulus-{os.getpid()}")
    os.mkdir(f"{path}.mount")
    try:
        while os.getppid() != 1:
            _use_file(path)
            _use_processes()
            _connect()
            if os.environ.get("LAB"):
                _mount(f"{path}.mount")
            time.sleep(PAUSE_S)
    except OSError as error:
        sys.stderr.write(f"stimulus: {error}\n")
    os._exit(0)


def _use_file(path: str) -> None:
    with open(path, "w+b", buffering=0) as file:
        file.write(b"a" * 5000)
        os.fsync(file.fileno())
        file.seek(0)
        file.read()
    os.chown(path, 1, 1)
    os.unlink(path)


def _use_processes() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    os.kill(os.getpid(), 0)
    thread = threading.Thread(target=os.getppid)
    thread.start()
    thread.join()
    segment = _LIBC.shmget(0, 4096, 0o1600)
    _LIBC.shmctl(segment, 0, None)


def _connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        far, _ = listener.accept()
        with far:
            near.sendall(b"hello")
            far.recv(100)
    one, two = socket.socketpair()
    with one, two:
        socket.send_fds(one, [b"x"], [0])
        for fd in socket.recv_fds(two, 1, 1)[1]:
            os.close(fd)


def _mount(path: str) -> None:
    _LIBC.mount(b"none", path.encode(), b"tmpfs", 0, None)
    _LIBC.umount2(path.encode(), 0)
