"""Process 1 of a lab guest: starts commands, carries their input and output over the virtio port, reaps.

Runs inside the guest under the host's own interpreter, where starting anything is twenty times slower than outside:
it imports almost nothing.  Each command is a session of its own; what it leaves behind is killed with it.  When the
port closes (the host's process is gone) it powers the guest off.
"""

from __future__ import annotations

import os
import select
import time

from probee.lab import frame
from probee.lab.command import Request, Task, become, kill, open_pipes, set_window

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal  # what `signal` wraps in enums, for a tenth of a second here

KEYS_FIFO = "/run/lab/keys"
KILL_AFTER_S = 3.0  # between SIGTERM and SIGKILL when the time is up
LONGEST_WAIT_MS = 3_600_000  # poll(2) takes an int; deadlines are looked at again after that
LINGER_S = 0.3  # how long a command's children may hold its output open
CHUNK = 1 << 16


class Agent:
    """The loop over the port, the fifo for keys, and every command's pipes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tasks: dict[int, Task] = {}
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.decoder = frame.Decoder()

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler
        self.poll.register(fd, events)

    def forget(self, fd: int, *, close: bool = True) -> None:
        if self.handlers.pop(fd, None) is not None:
            self.poll.unregister(fd)
        if close:
            os.close(fd)

    def send(self, job: int, kind: bytes, payload: bytes = b"") -> None:
        view = memoryview(frame.pack(job, kind, payload))
        while view:
            view = view[os.write(self.port, view[:32768]) :]

    def run(self) -> None:
        """Serve until the port closes."""
        wake, wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_writer)
        signal.signal(signal.SIGCHLD, lambda number, where: None)
        keys = os.open(KEYS_FIFO, os.O_RDWR | os.O_CLOEXEC)
        self.watch(self.port, select.POLLIN, self.on_port)
        self.watch(wake, select.POLLIN, lambda events: self.on_child(wake))
        self.watch(keys, select.POLLIN, lambda events: self.send(0, frame.KEYS, os.read(keys, 4096)))
        self.send(0, frame.BOOTED, b".".join(str(part).encode() for part in os.uname()[2:3]))
        while True:
            for fd, events in self.poll.poll(self.check_deadlines()):
                handler = self.handlers.get(fd)  # an earlier handler of this round may have closed it
                if handler is not None:
                    handler(events)

    # What the host sends.

    def on_port(self, events: int) -> None:
        data = os.read(self.port, CHUNK) if events & select.POLLIN else b""
        if not data:
            power_off()
        for job, kind, payload in self.decoder.feed(data):
            if kind == frame.RUN:
                self.start(job, payload)
            elif kind == frame.UPDATE:
                self.update(payload)
            elif job in self.tasks:
                self.on_task_frame(self.tasks[job], kind, payload)

    def on_task_frame(self, task: Task, kind: bytes, payload: bytes) -> None:
        if kind == frame.INPUT:
            self.feed(task, payload)
        elif kind == frame.SIGNAL:
            number, _, whom = payload.decode().partition(" ")
            kill(task.pid, int(number), group=whom != "leader")
        elif kind == frame.WINDOW and task.tty:
            rows, columns = payload.split()
            set_window(task.input, int(rows), int(columns))

    def update(self, payload: bytes) -> None:
        try:
            apply_update(*frame.unpack_fields(payload))
        except OSError as error:
            self.send(0, frame.ERROR, f"{payload[:200]!r}: {error}".encode())

    # Starting a command.

    def start(self, ident: int, payload: bytes) -> None:
        request = Request(payload)
        task = Task(ident, sync=request.sync)
        if request.fresh:
            drop_caches()
        ours, theirs = open_pipes(request)
        task.pid = os.fork()
        if not task.pid:
            become(request, theirs)
        for fd in set(theirs):
            if fd >= 0:
                os.close(fd)
        self.tasks[ident] = task
        if request.timeout_s:
            task.deadline = task.started + request.timeout_s
        self.adopt(task, ours, tty=bool(request.tty))
        self.send(ident, frame.STARTED, b"%d" % task.pid)

    def adopt(self, task: Task, ours: tuple[int, int, int], *, tty: bool) -> None:
        """Take over our ends of a command's pipes: its input, output and errors."""
        task.tty = tty
        task.input, output, errors = ours
        task.input_closed = task.input < 0
        if tty:
            task.outputs = {output}
            self.watch(output, select.POLLIN, lambda events: self.on_terminal(task, events))
            return
        task.outputs = {output, errors}
        self.watch(output, select.POLLIN, lambda events: self.pump(task, output, frame.OUTPUT))
        self.watch(errors, select.POLLIN, lambda events: self.pump(task, errors, frame.ERROR))
        if task.input >= 0:
            os.set_blocking(task.input, False)

    # Its output and input.

    def pump(self, task: Task, fd: int, kind: bytes) -> None:
        try:
            data = os.read(fd, CHUNK)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if data:
            self.send(task.ident, kind, data)
        else:
            self.close_output(task, fd)

    def on_terminal(self, task: Task, events: int) -> None:
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self.pump(task, task.input, frame.OUTPUT)
        if events & select.POLLOUT and task.input >= 0:
            self.flush(task)

    def close_output(self, task: Task, fd: int) -> None:
        task.outputs.discard(fd)
        if fd == task.input:
            task.input = -1
        self.forget(fd)

    def feed(self, task: Task, data: bytes) -> None:
        if task.input < 0 or task.input_closed:
            return
        if not data and task.tty:
            data = b"\x04"
        task.input_closed = not data
        task.pending += data
        self.flush(task)

    def flush(self, task: Task) -> None:
        """Write what the command takes now; come back when it takes more; close after the end."""
        try:
            while task.pending:
                task.pending = task.pending[os.write(task.input, task.pending[:CHUNK]) :]
        except BlockingIOError:
            self.wait_for_room(task)
            return
        except OSError:  # EPIPE: it does not want to read
            task.pending, task.input_closed = b"", True
        if task.tty:
            self.poll.modify(task.input, select.POLLIN)
        elif task.input_closed:
            self.forget(task.input)
            task.input = -1
        else:
            self.forget(task.input, close=False)

    def wait_for_room(self, task: Task) -> None:
        if task.tty:
            self.poll.modify(task.input, select.POLLIN | select.POLLOUT)
        elif task.input not in self.handlers:
            self.watch(task.input, select.POLLOUT, lambda events: self.flush(task))

    # Its end.

    def on_child(self, wake: int) -> None:
        os.read(wake, 4096)
        by_pid = {task.pid: task for task in self.tasks.values() if task.status is None}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in by_pid:
                task, now = by_pid[pid], time.monotonic()
                code = os.waitstatus_to_exitcode(status)
                task.status = code if code >= 0 else 128 - code
                task.seconds = now - task.started
                task.deadline = now + LINGER_S

    def check_deadlines(self) -> int | None:
        """Act on every deadline that has passed; return the milliseconds until the next one."""
        now = time.monotonic()
        for task in list(self.tasks.values()):
            over = task.deadline and now > task.deadline
            if task.status is not None and (not task.outputs or over):
                self.finish(task)
            elif task.status is None and over:
                kill(task.pid, signal.SIGKILL if task.late else signal.SIGTERM)
                task.late, task.deadline = True, now + KILL_AFTER_S
        ends = [task.deadline for task in self.tasks.values() if task.deadline]
        return min(max(0, int((min(ends) - now) * 1000) + 1), LONGEST_WAIT_MS) if ends else None

    def finish(self, task: Task) -> None:
        kill(task.pid, signal.SIGKILL)
        for fd in list(task.outputs):
            self.close_output(task, fd)
        if task.input >= 0:
            self.forget(task.input)
        del self.tasks[task.ident]
        if task.sync:
            os.sync()
        status = 124 if task.late else task.status
        late = "late" if task.late else "-"
        self.send(task.ident, frame.EXITED, f"{status} {late} {task.seconds:.4f}".encode())


def drop_caches() -> None:
    for _ in range(2):  # the overlay's dentries go first, then what they held
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")


def apply_update(path: bytes, mode: bytes, mtime_ns: bytes, content: bytes) -> None:
    """Make one file, directory or link of the overlay what it is outside: changed, or gone."""
    bits = int(mode, 8)
    kind, permissions = bits & 0o170000, bits & 0o7777  # S_IFMT of stat(2)
    if not bits:
        remove(path)
    elif kind == 0o040000:
        os.makedirs(path, exist_ok=True)
        os.chmod(path, permissions)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fresh = path + b".lab-update"
        if kind == 0o120000:
            os.symlink(content, fresh)
        else:
            write_file(fresh, content, permissions, int(mtime_ns))
        os.rename(fresh, path)


def write_file(path: bytes, content: bytes, permissions: int, mtime_ns: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while content:
            content = content[os.write(fd, content) :]
        os.fchmod(fd, permissions)
        os.utime(fd, ns=(mtime_ns, mtime_ns))
    finally:
        os.close(fd)


def remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except IsADirectoryError:
        os.rmdir(path)
    except FileNotFoundError:
        pass


def power_off() -> None:
    """End the guest at once; does not return."""
    os.sync()
    with open("/proc/sysrq-trigger", "w") as file:
        file.write("o")
    while True:
        time.sleep(60)


def prepare() -> int:
    """Make what devtmpfs lacks, and return the open virtio port."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")
    os.symlink("/proc/self/fd", "/dev/fd")
    os.makedirs("/run/lock", exist_ok=True)
    os.makedirs("/run/lab", exist_ok=True)
    os.mkfifo(KEYS_FIFO, 0o600)
    ports = "/sys/class/virtio-ports"
    for name in os.listdir(ports):
        with open(f"{ports}/{name}/name") as file:
            if file.read() == "lab\n":
                return os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC)
    raise SystemExit("lab: no virtio port")


def main() -> None:
    """What initrd.py's init runs last."""
    Agent(prepare()).run()
