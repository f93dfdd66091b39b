"""A Debian of its own in QEMU: systemd as init, weft as 'make install' lays it out, a disk that outlives a reboot.

    packages (apt-get download, unpacked without their scripts) -> build/second-kernel/debian-<key>/      the bare root
    + the kernel's modules, weft (meson install), the test's own files -> build/second-kernel/guest-<key>.ext4   the disk
    initrd: busybox and what the disk's driver needs -> switch_root to /dev/vda

Both are made once for what they are made of, and without mounting anything.  Each guest has a copy."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import second_kernel
from second_kernel import CACHE, Unavailable, run

# What a minimal host has.  Packages that weft's programs link to are found from the programs.
PACKAGES = ["base-files", "base-passwd", "bash", "coreutils", "dash", "grep", "sed", "findutils", "util-linux", "procps", "kmod", "udev",
            "systemd-sysv", "libnss-systemd", "iproute2", "iputils-ping", "python3", "busybox-static"]
# All that weft uses is left for the kernel to load by itself, as on any host.
MODULES = second_kernel.MODULES + ["virtio_net", "autofs4"]
DISK_DRIVER = ["virtio_pci", "virtio_blk"]
MERGED = ["bin", "sbin", "lib", "lib64"]

NETWORK = """[Match]
Name=eth0

[Network]
Address=192.0.2.1/24
"""

# The driver of a test: it starts when the system is up and talks through the serial console.
DRIVER = """[Unit]
Description=The test's own part
After=systemd-networkd-wait-online.service

[Service]
Type=exec
ExecStart=/usr/bin/python3 -u /usr/lib/weft-test/%s
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0

[Install]
WantedBy=multi-user.target
"""

INITRD_INIT = """#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
for module in $(busybox cat /modules); do busybox insmod $module; done
until [ -b /dev/vda ]; do busybox sleep 0.05; done
busybox mount -t ext4 -o rw /dev/vda /root
busybox mount --move /dev /root/dev
exec busybox switch_root /root /sbin/init
"""


def must(command):
    """What cannot fail for want of something from outside: a failure is the test's."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}"


def library_packages(programs):
    """Names of the packages that hold what the programs link to."""
    libraries = set()
    for program in programs:
        libraries.update(re.findall(r"(/\S+) \(0x", run(["ldd", program])))
    # dpkg knows a file by the name that its package gave it, before or after the merge of /lib and /usr/lib.
    names_of = {library: {library, (real := os.path.realpath(library)), real.removeprefix("/usr"), "/usr" + library}
                for library in libraries}
    said = subprocess.run(["dpkg-query", "-S", *set().union(*names_of.values())], capture_output=True, text=True).stdout
    owner = {line.split(": ")[1]: line.split(":")[0] for line in said.splitlines()}
    packages = set()
    for library, names in names_of.items():
        if not (owners := {owner[name] for name in names if name in owner}):
            raise Unavailable(f"{library} belongs to no package")
        packages |= owners
    return sorted(packages)


def closure(names):
    """{package: version} of the packages and all that they need, as if nothing were installed."""
    empty = CACHE / "no-packages"
    empty.touch()
    out = run(["apt-get", "-s", "-q", "-o", f"Dir::State::status={empty}", "-o", "APT::Install-Recommends=false", "install", *names])
    return dict(re.findall(r"^Inst (\S+) \((\S+)", out, re.M))


def unpack(package, root):
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", root, "--keep-directory-symlink", "--exclude=./usr/share/doc", "--exclude=./usr/share/man",
                    "--exclude=./usr/share/locale"], stdin=archive.stdout, check=True)
    archive.stdout.close()
    if archive.wait():
        raise Unavailable(f"{package} cannot be unpacked")


def bare_root(names):
    """A folder with these packages in it, and what their scripts would have done as far as a boot needs it."""
    ready = [path.parent.parent for path in CACHE.glob("debian-*/etc/ready")]
    try:
        versions = closure(names)
    except Unavailable:
        if not ready:
            raise
        return ready[0]  # Without apt lists the one from before does.
    key = digest(repr(sorted(versions.items())).encode(), pathlib.Path(__file__).read_bytes())
    root = CACHE / f"debian-{key}"
    if root in ready:
        return root
    for old in CACHE.glob("debian-*"):
        shutil.rmtree(old)
    downloads = CACHE / "packages"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir()
    download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *versions]
    try:
        run(download, cwd=downloads)
    except Unavailable:
        run(["apt-get", "-q", "update"])
        run(download, cwd=downloads)
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted(downloads.glob("*.deb")):
        unpack(package, root)
    shutil.rmtree(downloads)
    configure(root)
    (root / "etc" / "ready").touch()
    return root


def configure(root):
    etc = root / "etc"
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", etc / name)
    (etc / "nsswitch.conf").write_text("passwd: files systemd\ngroup: files systemd\nhosts: files\n")
    (etc / "hostname").write_text("h1\n")
    (etc / "hosts").write_text("127.0.0.1 localhost h1\n")
    (etc / "machine-id").write_text("6c69746c656d616368696e656964310a\n")
    (etc / "fstab").write_text("/dev/vda / ext4 defaults 0 0\n")
    (etc / "systemd/network").mkdir(parents=True, exist_ok=True)
    (etc / "systemd/network/eth0.network").write_text(NETWORK)
    (root / "var/log/journal").mkdir(parents=True, exist_ok=True)
    run(["ldconfig", "-r", root])
    run(["chroot", root, "systemd-sysusers"])
    run(["chroot", root, "systemctl", "set-default", "multi-user.target"])
    run(["chroot", root, "systemctl", "enable", "systemd-networkd", "systemd-networkd-wait-online"])
    # A console of the test's own, and no users who log in.
    run(["chroot", root, "systemctl", "mask", "serial-getty@ttyS0", "getty@tty1", "systemd-logind"])


def digest(*parts):
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def contents(folder):
    return b"".join(f"{path.relative_to(folder)} {path.stat().st_mode}\n".encode() + path.read_bytes()
                    for path in sorted(folder.rglob("*")) if path.is_file())


def certificate(address):
    """A certificate for https://ADDRESS that is its own issuer, and its key; made once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    pem, key = CACHE / "tls.pem", CACHE / "tls.key"
    if not pem.exists():
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "36500", "-subj",
             "/CN=weft test", "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", pem])
    return [pem, key]


class Guest:
    """The disk and the initrd of a guest whose driver is the script 'driver'; 'files' are put beside it."""

    def __init__(self, build, work, driver, files=()):
        self.work = pathlib.Path(work)
        self.kernel = second_kernel.fetch_kernel()
        if os.geteuid() != 0:
            raise Unavailable("putting a Debian together needs root")
        for program in ("mke2fs", "dpkg-deb", "ldconfig"):
            if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
                raise Unavailable(f"{program} is not installed")
        installed = self.work / "installed"
        must(["meson", "install", "-C", build, "--destdir", installed, "--no-rebuild", "--quiet"])
        root = bare_root(PACKAGES + library_packages(path for path in installed.rglob("weft*") if os.access(path, os.X_OK) and
                                                     path.is_file()))
        self.disk = self.make_disk(root, installed, pathlib.Path(driver), [pathlib.Path(file) for file in files])
        self.initrd = self.make_initrd()

    def make_disk(self, root, installed, driver, files):
        inputs = [root.name.encode(), self.kernel.name.encode(), contents(installed), *(file.read_bytes() for file in [driver, *files])]
        disk = CACHE / f"guest-{digest(*inputs)}.ext4"
        if disk.exists():
            return disk
        for old in CACHE.glob("guest-*.ext4"):
            old.unlink()
        staged = self.work / "disk"
        must(["cp", "-a", "--reflink=auto", root, staged])
        must(["cp", "-a", f"{installed}/.", staged])
        own = staged / "usr/lib/weft-test"
        own.mkdir()
        for file in [driver, *files]:
            shutil.copy2(file, own)
        (staged / "etc/systemd/system/weft-test.service").write_text(DRIVER % driver.name)
        must(["chroot", staged, "systemctl", "enable", "weft-test"])
        self.add_modules(staged)
        # Nothing is new to this system: without these marks it would rebuild every index of its own at the first boot.
        for folder in ("etc", "var"):
            (staged / folder / ".updated").touch()
            shutil.copystat(staged / "usr", staged / folder / ".updated")
        unfinished = disk.with_suffix(".new")
        must(["mke2fs", "-q", "-F", "-t", "ext4", "-d", staged, unfinished, "768M"])
        unfinished.rename(disk)
        shutil.rmtree(staged)
        return disk

    def add_modules(self, root):
        release = second_kernel.release_of(self.kernel)
        source, target = self.kernel / "lib/modules" / release, root / "usr/lib/modules" / release
        for path in [*second_kernel.module_files(self.kernel, MODULES + DISK_DRIVER), *source.glob("modules.builtin*"),
                     source / "modules.order"]:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / path.relative_to(source))
        must(["chroot", root, "depmod", release])

    def make_initrd(self):
        root = self.work / "initrd"
        for name in ("bin", "dev", "root"):
            (root / name).mkdir(parents=True)
        shutil.copy2("/bin/busybox", root / "bin/busybox")
        modules = second_kernel.module_files(self.kernel, DISK_DRIVER)
        for path in modules:
            shutil.copy2(path, root / path.name)
        (root / "modules").write_text("".join(f"/{path.name}\n" for path in modules))
        (root / "init").write_text(INITRD_INIT)
        (root / "init").chmod(0o755)
        return second_kernel.pack(root, self.work / "initrd.cpio")

    def run(self, n_boots, deadline_s, log):
        """Runs until the guest has ended 'n_boots' times, by a reboot, a reset or powering off; each may take 'deadline_s'.

        Each is a QEMU of its own on the same disk: what the guest had not brought to the disk is gone, and a boot after a reset
        inside one QEMU is several times slower.  Returns (results, console text)."""
        disk, console = self.work / "disk.ext4", ""
        must(["cp", "--reflink=auto", "--sparse=always", self.disk, disk])
        options = ["-no-reboot", "-drive", f"file={disk},format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk",
                   "-netdev", "hubport,id=net,hubid=0", "-device", "virtio-net-pci,netdev=net,romfile="]
        for _ in range(n_boots):
            text, ended = second_kernel.run_qemu(self.kernel, self.initrd, options, "net.ifnames=0 systemd.show_status=no panic=-1",
                                                 deadline_s, cpus=2, log=log)
            console += text
            if not ended:
                raise AssertionError(f"the guest did not end in time; its console:\n{console[-6000:]}")
        return second_kernel.results_of(console), console
