"""Debian suites as a source of stock kernels: what each has, and unpacking one into the cache.

A suite is named as on the mirror: bullseye, trixie-backports, sid.  Mirrors drop old suites; then the message names
the suite and everything else goes on.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

from probee.errors import LabError
from probee.lab import cache, deb
from probee.lab.apt import Apt, find_keyring, find_mirror
from probee.lab.kernel import Kernel, Report, kernels_dir, matches, version_key

CANDIDATES = {  # kernel → suites known to have it, the best first; the others are tried after them
    "5.10": ("bullseye",),
    "6.1": ("bookworm",),
    "6.12": ("bookworm-backports", "trixie"),
    "7.2": ("forky", "sid"),
    "7.3": ("trixie-backports",),
}
SUITES = ("bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "forky", "sid")
NOT_IN_A_GUEST = tuple(  # drivers of hardware that a guest never has
    f"/kernel/{part}/"
    for part in ("sound", "drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/infiniband",
                 "drivers/net/ethernet", "drivers/staging", "drivers/iio")
)  # fmt: skip


class Suite:
    """One suite of one mirror."""

    def __init__(self, name: str, mirror: str, *, report: Report) -> None:
        self.name = name
        self.mirror = mirror
        self._apt = Apt(name, report=report)

    def kernels(self) -> list[str]:
        """Return the versions of its stock kernels, oldest first."""
        self._need_lists()
        names = self._run("apt-cache", "pkgnames", "linux-image-").split()
        return stock_versions([name[len("linux-image-") :] for name in names])

    def download(self, package: str, folder: str) -> None:
        """Download a package into a folder; once more with new lists when the mirror has moved on."""
        try:
            self._run("apt-get", "download", package, cwd=folder)
        except LabError:
            self._apt.refresh()
            self._run("apt-get", "download", package, cwd=folder)

    def parts(self, version: str) -> list[str]:
        """Return the packages that make up a kernel: one, or since Debian 14 also binary, modules and base."""
        package = f"linux-image-{version}"
        lines = self._run("apt-cache", "depends", package).splitlines()
        names = {line.split()[-1] for line in lines if line.strip().startswith("Depends:")}
        more = re.compile(rf"linux-(binary|modules|base)-{re.escape(version)}")
        return [package, *sorted(name for name in names if more.fullmatch(name))]

    def _need_lists(self) -> None:
        with self._blamed():
            self._apt.use(f"deb [signed-by={find_keyring()}] {self.mirror} {self.name} main\n")

    def _run(self, *command: str, cwd: str | None = None) -> str:
        with self._blamed():
            return self._apt.run(*command, cwd=cwd)

    def _blamed(self) -> _Blame:
        return _Blame(f"suite {self.name} cannot be had from {self.mirror} (dropped there? --mirror URL names another)")


class _Blame:
    """Puts a sentence before what apt says."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LabError):
            raise LabError(f"{self._sentence}:\n{error}") from None


def stock_versions(names: list[str]) -> list[str]:
    """Return what is a stock kernel's version, oldest first: no flavours, no debug symbols, no meta packages."""
    flavour = re.compile(r"-(rt|cloud|unsigned|dbg)\b")
    stock = [name for name in names if re.fullmatch(r"\d+\.\d+[-+~.\w]*-amd64", name) and not flavour.search(name)]
    return sorted(stock, key=version_key)


def known_suites(wanted: str) -> tuple[str, ...]:
    """Return the suites known to have this kernel."""
    return CANDIDATES.get(".".join(re.split(r"[.+-]", wanted)[:2]), ())


def suites_for(wanted: str) -> list[str]:
    """Return every suite, those first that are known to have this kernel."""
    first = known_suites(wanted)
    return [*first, *[name for name in SUITES if name not in first]]


def available(mirror: str, *, report: Report) -> list[tuple[str, str, str]]:
    """Return (family, version, suite) of the newest kernel of each family, and ("", why, suite) for suites that fail."""
    mirror = mirror or find_mirror()
    newest: dict[str, tuple[str, str]] = {}
    problems = []
    for name in SUITES:
        try:
            versions = Suite(name, mirror, report=report).kernels()
        except LabError as error:
            problems.append(("", str(error), name))
            continue
        for version in versions:
            family = ".".join(version.split(".")[:2])
            if family not in newest or version_key(newest[family][0]) < version_key(version):
                newest[family] = version, name
    found = [(family, *newest[family]) for family in sorted(newest, key=version_key)]
    return found + problems


def fetch_kernel(wanted: str, *, mirror: str, report: Report) -> Kernel:
    """Download and unpack the newest kernel of this name from the first suite that has it."""
    mirror = mirror or find_mirror()
    problems: list[tuple[str, str]] = []
    for name in suites_for(wanted):
        suite = Suite(name, mirror, report=report)
        try:
            versions = [version for version in suite.kernels() if matches(version, wanted)]
        except LabError as error:
            problems.append((name, str(error)))
            continue
        if versions:
            return _fetch_from(suite, versions[-1], report)
    raise LabError("\n".join([f"no Debian suite at {mirror} has a kernel {wanted}; see `probee lab kernels`",
                              *_worth_telling(problems, wanted)]))  # fmt: skip


def _worth_telling(problems: list[tuple[str, str]], wanted: str) -> list[str]:
    """Return what failed for the suites known to have a kernel; for a kernel that none is known to have, the first."""
    known = known_suites(wanted) or [name for name, _ in problems[:1]]
    return [text for name, text in problems if name in known]


def _fetch_from(suite: Suite, version: str, report: Report) -> Kernel:
    started = time.monotonic()
    report(f"fetching kernel {version} from {suite.name}")
    home = os.path.join(kernels_dir(), version)
    with tempfile.TemporaryDirectory(prefix=f"kernel-{version}-", dir=cache.make_dir()) as work:
        for part in suite.parts(version):
            suite.download(part, work)
        tree = os.path.join(work, "tree")
        for package in glob.glob(os.path.join(work, "*.deb")):
            deb.unpack(package, tree, wanted_of_kernel)
        arrange(tree, version, os.path.join(work, "kernel"))
        os.makedirs(kernels_dir(), exist_ok=True)
        if not os.path.exists(home):
            os.rename(os.path.join(work, "kernel"), home)
    report(f"kernel {version} is in {home} ({time.monotonic() - started:.0f} s)")
    image = os.path.join(home, "boot", f"vmlinuz-{version}")
    return Kernel(version, image, os.path.join(home, "lib", "modules", version), "cache")


def wanted_of_kernel(path: str) -> bool:
    """Whether a guest can use this file of a kernel's packages."""
    if path.startswith(("boot/vmlinuz", "boot/config")):
        return True
    return "lib/modules/" in path and not any(part in path for part in NOT_IN_A_GUEST)


def arrange(tree: str, version: str, home: str) -> None:
    """Make home/boot and home/lib/modules/VERSION of unpacked packages, old layout or new, and index the modules."""
    places = [os.path.join(tree, *part, "lib", "modules", version) for part in ((), ("usr",))]
    modules = next((place for place in places if os.path.isdir(place)), "")
    images = [os.path.join(tree, "boot", f"vmlinuz-{version}"), os.path.join(modules, "vmlinuz")]
    image = next((path for path in images if os.path.isfile(path)), "")
    if not modules or not image:
        raise LabError(f"the packages of kernel {version} hold no image or no modules")
    os.makedirs(os.path.join(home, "boot"))
    os.makedirs(os.path.join(home, "lib", "modules"))
    shutil.move(image, os.path.join(home, "boot", f"vmlinuz-{version}"))
    for config in (os.path.join(tree, "boot", f"config-{version}"), os.path.join(modules, "config")):
        if os.path.isfile(config):
            shutil.copy(config, os.path.join(home, "boot", f"config-{version}"))
    shutil.move(modules, os.path.join(home, "lib", "modules", version))
    _index_modules(home, version)


def _index_modules(home: str, version: str) -> None:
    """Make modules.dep and modules.alias, which modprobe in the guest reads; booting does not need them."""
    for program, words in (("depmod", []), ("busybox", ["depmod"])):
        path = shutil.which(program, path=cache.tool_path())
        if path is not None:
            subprocess.run([path, *words, "-b", home, version], stderr=subprocess.DEVNULL, check=False)
            return
