"""Boots Debian's own cloud kernel in QEMU with a small root of this machine's programs, and reads what it says.

    package (apt-get download) -> vmlinuz + modules            build/second-kernel/<package>/
    busybox, python3, ip, bpftool, weft's programs + libraries -> initramfs (newc, not compressed: unpacking is quicker)
    qemu-system-x86_64, emulated -> serial console -> lines "RESULT {json}"

Emulated time says nothing about speed; a guest has one CPU unless told otherwise, and no network but its own namespaces."""

import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "second-kernel"
META_PACKAGE = "linux-image-cloud-amd64"
# What the data plane and the tests need of the kernel and what Debian builds as modules.  Dependencies are found.
MODULES = ["veth", "vxlan", "bridge", "tun", "dummy", "sch_ingress", "cls_bpf", "act_mirred", "af_packet_diag", "8021q"]


class Unavailable(Exception):
    """The second kernel cannot be had here; the text says why."""


def run(command, **options):
    """Runs a command that the guest cannot be had without, and returns what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise Unavailable(f"{' '.join(map(str, command))}: {done.stderr.strip()[-500:]}")
    return done.stdout


def kernel_package():
    """The name of the kernel package that Debian's meta package names now."""
    match = re.search(r"Depends: (linux-image-\S+)", run(["apt-cache", "depends", META_PACKAGE]))
    if not match:
        raise Unavailable(f"{META_PACKAGE} depends on no kernel here; run apt-get update")
    return match.group(1)


def fetch_kernel():
    """Returns the folder that holds boot/vmlinuz-* and lib/modules/*; downloads it once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = sorted(CACHE.glob("linux-image-*/ready"))
        try:
            folder = CACHE / kernel_package()
        except Unavailable:
            if not ready:
                raise
            folder = ready[-1].parent  # Without apt lists the one from before does.
        if (folder / "ready").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", folder.name]
        try:
            run(download, cwd=CACHE)
        except Unavailable:
            run(["apt-get", "-q", "update"])
            run(download, cwd=CACHE)
        package = max(CACHE.glob(f"{folder.name}_*.deb"), key=lambda path: path.stat().st_mtime)
        run(["dpkg", "-x", package, folder])
        package.unlink()
        (folder / "ready").touch()
        return folder


def release_of(kernel):
    return next((kernel / "lib" / "modules").iterdir()).name


def module_files(kernel, names):
    """Files to insert, dependencies first, each once.  A module says itself what it depends on."""
    folder = kernel / "lib" / "modules" / release_of(kernel)
    files = {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}
    built_in = {pathlib.Path(line).stem.replace("-", "_") for line in (folder / "modules.builtin").read_text().split()}
    ordered = []

    def add(name):
        if name in built_in:
            return
        if name not in files:
            raise Unavailable(f"the kernel has no module {name}")
        depends = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
        for other in depends.group(1).decode().split(",") if depends else ():
            if other:
                add(other.replace("-", "_"))
        if files[name] not in ordered:
            ordered.append(files[name])

    for name in names:
        add(name)
    return ordered


class Image:
    """The guest's root, staged in a folder and packed as an initramfs."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder)
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("bin", "dev", "proc", "sys", "run", "tmp", "etc", "var/lib", "lib/modules", "root"):
            (self.root / name).mkdir(parents=True)
        self.copied = set()
        self.file("/bin/busybox", "bin/busybox")
        self.program("dash", "bin/sh")  # busybox's own shell prefers its applets, and its 'ip' is not ours.
        for applet in ("mount", "insmod", "poweroff", "ls", "cat", "dmesg", "sleep"):
            (self.root / "bin" / applet).symlink_to("busybox")
        (self.root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
        (self.root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")

    def file(self, source, target=None):
        target = self.root / (target or str(source).lstrip("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        return target

    def program(self, name, target=None):
        """Copies a program (a path, or a name looked up in the system's folders) with its libraries."""
        path = str(name) if "/" in str(name) else shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if not path:
            raise Unavailable(f"{name} is not installed")
        self.file(os.path.realpath(path), target or f"bin/{pathlib.Path(path).name}")
        self.libraries(path)

    def libraries(self, path):
        listing = subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listing):
            if library not in self.copied:
                self.copied.add(library)
                self.file(os.path.realpath(library), library.lstrip("/"))

    def python(self):
        """The system's Python with its standard library: what the script in the guest is written in."""
        self.program("/usr/bin/python3")
        version = re.search(r"\d+\.\d+", os.path.realpath("/usr/bin/python3")).group(0)
        library = pathlib.Path(f"/usr/lib/python{version}")
        unwanted = shutil.ignore_patterns("test", "tests", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "tkinter", "turtle*",
                                          "config-*", "distutils", "*.opt-?.pyc", "LICENSE.txt", "unittest", "dist-packages")
        shutil.copytree(library, self.root / "usr" / "lib" / library.name, ignore=unwanted, symlinks=False,
                        ignore_dangling_symlinks=True)
        for extension in (library / "lib-dynload").glob("*.so"):
            self.libraries(extension)

    def modules(self, kernel, names):
        with open(self.root / "etc" / "modules", "w") as order:
            for path in module_files(kernel, names):
                self.file(path, f"lib/modules/{pathlib.Path(path).name}")
                order.write(f"/lib/modules/{pathlib.Path(path).name}\n")


def pack(folder, path):
    """The folder as an initramfs."""
    with open(path, "wb") as out:
        find = subprocess.Popen(["find", ".", "-print0"], cwd=folder, stdout=subprocess.PIPE)
        subprocess.run(["cpio", "--null", "--quiet", "-o", "-H", "newc"], cwd=folder, stdin=find.stdout, stdout=out, check=True)
        find.stdout.close()
        if find.wait():
            raise Unavailable("find failed")
    return path


INIT = """#!/bin/sh
export PATH=/bin PYTHONDONTWRITEBYTECODE=1 HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
echo
for module in $(cat /etc/modules); do insmod $module || echo "RESULT {\\"name\\": \\"module\\", \\"ok\\": false, \\"text\\": \\"$module\\"}"; done
%s
echo "EXIT $?"
poweroff -f
"""


def results_of(console):
    """What the guest printed as "RESULT {json}"."""
    return [json.loads(line) for line in re.findall(r"^RESULT (\{.*\})$", console, re.M)]


def run_qemu(kernel, initrd, options, command_line, deadline_s, memory_mb=1024, cpus=1, log=None):
    """Runs an emulated machine until it ends by itself or 'deadline_s' is over: (console text, whether it ended by itself).

    The console goes to 'log' while it comes."""
    if not shutil.which("qemu-system-x86_64"):
        raise Unavailable("qemu-system-x86 is not installed")
    vmlinuz = next((kernel / "boot").glob("vmlinuz-*"))
    qemu = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "qemu64,+rdrand", "-smp", str(cpus), "-m", str(memory_mb), "-nographic",
            "-nodefaults", "-serial", "stdio", "-kernel", str(vmlinuz), "-initrd", str(initrd), *options, "-append",
            f"console=ttyS0 quiet mitigations=off random.trust_cpu=on oops=panic {command_line}"]
    process = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    console, end, ended = b"", time.monotonic() + deadline_s, False
    try:
        while (left := end - time.monotonic()) > 0:
            if not select.select([process.stdout], [], [], left)[0]:
                break
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                ended = True
                break
            console += part
            if log:
                log.write(part)
                log.flush()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return console.decode(errors="replace").replace("\r", ""), ended


def boot(kernel, image, command, work, deadline_s=1000, memory_mb=1024, cpus=1, log=None):
    """Boots, runs 'command' (a line of shell) in the guest and returns (exit status, results, console text)."""
    (image.root / "init").write_text(INIT % command)
    (image.root / "init").chmod(0o755)
    initrd = pack(image.root, pathlib.Path(work) / "initrd.cpio")
    try:
        text, ended = run_qemu(kernel, initrd, ["-no-reboot"], "panic=-1", deadline_s, memory_mb, cpus, log)
    finally:
        initrd.unlink(missing_ok=True)
    status = re.search(r"^EXIT (\d+)$", text, re.M)
    if not ended or not status:
        raise AssertionError(f"the guest {'died' if ended else 'did not end in time'}; its console:\n{text[-6000:]}")
    return int(status.group(1)), results_of(text), text
