"""A systemd as the first process of namespaces of its own, with a file system of its own.

It has the programs of this machine to read, and nothing else of it: users, network, groups of processes and /dev are
its own. All of it ends with the process that has started it.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import tempfile
import time
import traceback

SYSTEMD = pathlib.Path("/usr/lib/systemd/systemd")
UNITS = pathlib.Path("/etc/systemd/system")
OF_SYSTEMD = [
    "basic.target",
    "multi-user.target",
    "network-online.target",
    "shutdown.target",
    "sockets.target",
    "sysinit.target",
    "systemd-journald.service",
    "systemd-journald.socket",
]
PATIENCE = 60.0

# A part of linux/mount.h, linux/sched.h and linux/prctl.h.
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 1, 32, 4096, 16384, 1 << 18, 1 << 20
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 1 << 17, 1 << 25, 1 << 26, 1 << 27
CLONE_NEWPID, CLONE_NEWNET = 1 << 29, 1 << 30
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
PIVOT_ROOT = {"aarch64": 41, "x86_64": 155}

LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """This machine does not allow it."""


def run(prepare, drive, bound):
    """Answers what `drive` has answered; raises `Refused` where it cannot be run, and else what went wrong.

    `prepare(root)` adds to the file system that is to be. `drive()` runs in it as a process beside the systemd, and
    has so many seconds.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undone:
        folder = pathlib.Path(folder)
        call("unshare", CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID)
        mount(None, "/", None, MS_PRIVATE | MS_REC)
        group = make_group(folder / "groups", undone)
        report, told = os.pipe()
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGALRM, end)
        signal.alarm(int(bound + PATIENCE))
        pid = os.fork()
        if pid == 0:
            os.close(report)
            first_process(folder, group, prepare, lambda: limited(drive, bound), told)
        undone.callback(os.waitpid, pid, 0)
        undone.callback(os.kill, pid, signal.SIGKILL)
        os.close(told)
        with open(report, encoding="utf-8") as report:
            said = report.read()
        signal.alarm(0)
    if not said:
        raise AssertionError("the systemd has ended by itself")
    outcome = json.loads(said)
    if "refused" in outcome:
        raise Refused(outcome["refused"])
    if "failed" in outcome:
        raise AssertionError(outcome["failed"])
    return outcome["answered"]


def end(_signal, _frame):
    raise SystemExit("ended from outside, or by its bound")


def call(name, *arguments):
    """A function of the C library that answers -1 when it has failed."""
    encoded = [os.fsencode(one) if isinstance(one, (str, os.PathLike)) else one for one in arguments]
    if getattr(LIBC, name)(*encoded) == -1:
        shown = ", ".join(str(getattr(one, "value", one)) for one in arguments if one is not None)
        raise Refused(f"{name}({shown}): {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    call("mount", source, target, kind, ctypes.c_ulong(flags), data)


def bind(source, target, flags=0):
    mount(source, target, None, MS_BIND | MS_REC)
    if flags:
        mount(source, target, None, MS_BIND | MS_REMOUNT | flags)


def make_group(folder, undone):
    """A group of processes for the systemd, which makes more of them below it."""
    folder.mkdir()
    mount("cgroup2", folder, "cgroup2")
    undone.callback(call, "umount2", folder, MNT_DETACH)
    own = pathlib.Path("/proc/self/cgroup").read_text().split("0::/")[-1].split("\n")[0]
    group = folder / own / f"portway-units-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise Refused(f"no group of processes can be made: {error}") from error
    undone.callback(remove_group, group)
    return group


def remove_group(group):
    until = time.monotonic() + PATIENCE
    for path, _, _ in os.walk(group, topdown=False):
        while not is_removed(path):
            if time.monotonic() > until:
                raise AssertionError(f"{path} cannot be removed")
            time.sleep(0.01)


def is_removed(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def first_process(folder, group, prepare, drive, told):
    """Becomes the systemd; does not return."""
    try:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(0)
        try:
            (group / "cgroup.procs").write_text("0")
        except OSError as error:
            raise Refused(f"the group of processes cannot be joined: {error}") from error
        call("unshare", CLONE_NEWNS | CLONE_NEWCGROUP)
        new = folder / "root"
        new.mkdir()
        build(new)
        # On disk, because programs are copied there.
        for name, place in [("bin", "usr/local/bin"), ("home", "root")]:
            (folder / name).mkdir()
            bind(folder / name, new / place)
        prepare(new)
        enter(new)
        # It tells systemd that the clock, the kernel and the devices are others' business.
        env = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "container": "portway"}
        os.environ.clear()
        os.environ.update(env, SYSTEMD_UNIT_PATH=str(UNITS))
        if os.fork() == 0:
            os.setsid()
            tell(told, drive)
            os._exit(0)
        os.close(told)
        os.execv(SYSTEMD, [str(SYSTEMD), "--system"])
    except BaseException as error:
        os.write(told, json.dumps(failure(error)).encode())
    finally:
        os._exit(1)


def build(new):
    mount("tmpfs", new, "tmpfs", 0, "mode=755")
    for name in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"]:
        (new / name).mkdir()
    for name in ["bin", "lib", "lib32", "lib64", "libx32", "sbin"]:
        here = pathlib.Path("/", name)
        if here.is_symlink():
            (new / name).symlink_to(os.readlink(here))
        elif here.is_dir():
            (new / name).mkdir()
            bind(here, new / name, MS_RDONLY)
    bind("/usr", new / "usr", MS_RDONLY)
    mount("proc", new / "proc", "proc")
    # What systemd sets there would count for the whole machine.
    bind(new / "proc/sys", new / "proc/sys", MS_RDONLY)
    mount("sysfs", new / "sys", "sysfs", MS_RDONLY)
    mount("cgroup2", new / "sys/fs/cgroup", "cgroup2")
    for name in ["dev", "run", "tmp", "var"]:
        mount("tmpfs", new / name, "tmpfs", 0, "mode=1777" if name == "tmp" else "mode=755")
    build_dev(new / "dev")
    for name in ["lib", "log", "tmp"]:
        (new / "var" / name).mkdir()
    (new / "var/tmp").chmod(0o1777)
    build_etc(new / "etc")


def build_dev(dev):
    for name in ["full", "null", "random", "tty", "urandom", "zero"]:
        (dev / name).touch()
        bind(f"/dev/{name}", dev / name)
    for name in ["pts", "shm"]:
        (dev / name).mkdir()
    mount("devpts", dev / "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    mount("tmpfs", dev / "shm", "tmpfs", 0, "mode=1777")
    (dev / "ptmx").symlink_to("pts/ptmx")


def build_etc(etc):
    files = {
        "group": "root:x:0:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost\n",
        "machine-id": os.urandom(16).hex() + "\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        "pam.d/runuser": "auth sufficient pam_rootok.so\nsession required pam_permit.so\n",
        "passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
    }
    (etc / "pam.d").mkdir()
    for name, text in files.items():
        (etc / name).write_text(text)
    if os.path.exists("/etc/ld.so.cache"):
        shutil.copy("/etc/ld.so.cache", etc)
    units = etc / UNITS.relative_to("/etc")
    units.mkdir(parents=True)
    for name in OF_SYSTEMD:
        shutil.copy(SYSTEMD.parent / "system" / name, units)
    (units / "default.target").symlink_to("sysinit.target")


def enter(new):
    """Makes it the root of this process."""
    number = PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise Refused("an unknown kind of processor")
    os.chdir(new)
    call("syscall", ctypes.c_long(number), ".", ".")
    call("umount2", ".", MNT_DETACH)
    os.chdir("/")
    mount(None, "/", None, MS_SHARED | MS_REC)


def limited(drive, bound):
    signal.signal(signal.SIGALRM, end)
    signal.alarm(int(bound))
    return drive()


def tell(told, drive):
    try:
        outcome = {"answered": drive()}
    except BaseException as error:
        outcome = failure(error)
    with open(told, "w", encoding="utf-8") as told:
        json.dump(outcome, told)


def failure(error):
    if isinstance(error, Refused):
        return {"refused": str(error)}
    return {"failed": "".join(traceback.format_exception(error))}
