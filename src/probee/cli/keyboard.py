"""A keyboard made of software (uinput), so that key presses can be shown where nobody types.

Mirrors include/uapi/linux/uinput.h (struct uinput_user_dev) and input-event-codes.h.  The names are those of the lab's keys.
"""

from __future__ import annotations

import os
import struct
import time

from probee.errors import UsageError

CODES = {
    **{name: 2 + index for index, name in enumerate("1234567890")},
    **{name: 16 + index for index, name in enumerate("qwertyuiop")},
    **{name: 30 + index for index, name in enumerate("asdfghjkl")},
    **{name: 44 + index for index, name in enumerate("zxcvbnm")},
    "ret": 28, "spc": 57, "esc": 1, "tab": 15,
}  # fmt: skip
EV_SYN, EV_KEY, BUS_VIRTUAL = 0, 1, 6
UI_SET_EVBIT, UI_SET_KEYBIT, UI_DEV_CREATE, UI_DEV_DESTROY = 0x40045564, 0x40045565, 0x5501, 0x5502
_USER_DEVICE = struct.Struct("80sHHHHI256x256x256x256x")
_EVENT = struct.Struct("qqHHi")


class Keyboard:
    """A context manager; leaving it unplugs the keyboard."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/dev/uinput", os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"/dev/uinput cannot be opened ({error.strerror}); try `probee demo --lab`") from None

    def __enter__(self) -> Keyboard:
        from fcntl import ioctl

        ioctl(self._fd, UI_SET_EVBIT, EV_KEY)
        for code in CODES.values():
            ioctl(self._fd, UI_SET_KEYBIT, code)
        os.write(self._fd, _USER_DEVICE.pack(b"probee demo keyboard", BUS_VIRTUAL, 1, 1, 1, 0))
        ioctl(self._fd, UI_DEV_CREATE)
        time.sleep(0.3)  # until whoever listens has opened it
        return self

    def __exit__(self, *unused: object) -> None:
        from fcntl import ioctl

        ioctl(self._fd, UI_DEV_DESTROY)
        os.close(self._fd)

    def press(self, text: str) -> None:
        """Press keys in order; `@S` waits S seconds."""
        for word in text.split():
            if word.startswith("@"):
                time.sleep(float(word[1:]))
                continue
            for value in (1, 0):
                self._event(EV_KEY, CODES[word], value)
                self._event(EV_SYN, 0, 0)

    def _event(self, kind: int, code: int, value: int) -> None:
        os.write(self._fd, _EVENT.pack(0, 0, kind, code, value))
