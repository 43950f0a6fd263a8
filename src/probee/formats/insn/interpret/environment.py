"""What an interpreted program can ask about the world: time, CPU, process, random numbers, stacks.

Every field is a plain value that a test sets; nothing is read from the machine.  Times are in nanoseconds.
"""

from __future__ import annotations


class Environment:
    """The answers of the helpers without memory arguments, and what helpers with an effect leave behind."""

    def __init__(self) -> None:
        self.time_ns = 1_000_000_000
        self.tick_ns = 0  # added at every question for the time
        self.boot_offset_ns = 5_000_000_000
        self.tai_offset_ns = 1_700_000_000_000_000_000
        self.cpu = 0
        self.n_cpus = 4
        self.pid = 1234  # of the thread
        self.tgid = 1200  # of the process
        self.uid = 1000
        self.gid = 1001
        self.comm = b"probee"
        self.task = 0  # address of a kernel region with a task_struct
        self.pt_regs = 0  # address of the task's saved user registers
        self.cgroup_id = 42
        self.func_ip = 0
        self.attach_cookie = 0
        self.random_state = 0x2545_F491
        self.kernel_stack: list[int] = [0xFFFF_FFFF_8100_1000, 0xFFFF_FFFF_8100_2000]
        self.user_stack: list[int] = [0x0000_5555_0000_1000]
        self.packets: dict[int, bytes] = {}  # what socket buffers hold, by the address of the sk_buff
        self.trace: list[str] = []  # what trace_printk wrote
        self.signals: list[int] = []  # what send_signal sent

    def now(self) -> int:
        """Return the monotonic time and let it pass on."""
        now = self.time_ns
        self.time_ns += self.tick_ns
        return now

    def random(self) -> int:
        """Return the next of a fixed sequence of 32-bit numbers (xorshift, Marsaglia 2003)."""
        x = self.random_state
        x ^= x << 13 & 0xFFFF_FFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFF_FFFF
        self.random_state = x
        return x
