"""A SLURM of one node in a scratch folder: 2 CPUs, two pretended GPUs, no accounting, on 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ["slurm-wlm", "munge"]  # of Debian
DAEMONS = ["munged", "slurmctld", "slurmd"]
COMMANDS = ["sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr"]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

# cred_expire: a requeued job waits until the credentials of its first start expire, else for 120 s.
CONFIG = """\
ClusterName=vidtune
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5
SlurmdParameters=config_overrides
MpiDefault=none
MinJobAge=3600
KillWait=30
JobRequeue=1
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
# Devices that every machine has stand for GPUs: SLURM sets CUDA_VISIBLE_DEVICES as for real ones.
GPUS = """\
AutoDetect=off
NodeName={host} Name=gpu File=/dev/null
NodeName={host} Name=gpu File=/dev/zero
"""


def unavailable() -> str | None:
    """Install SLURM where that may be; the reason where it may not."""
    missing = [name for name in DAEMONS if shutil.which(name, path=PATH) is None]
    if os.geteuid():
        return "its daemons run as root; this is not root"
    if not missing:
        return None
    if shutil.which("apt-get") is None:
        return f"no {', '.join(missing)} here, and no apt-get to install {' '.join(PACKAGES)}"
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *command], env=env, capture_output=True, text=True)
        if done.returncode:
            return f"apt-get {command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return None


def wait_for(what: str, there: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not there():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds:g} s for {what}")
        time.sleep(0.5)


class Node:
    """Its daemons, which `stop` ends by their process ids."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)  # munge's clients must reach its socket
        ports = [_free_port(), _free_port()]
        texts = {"slurm.conf": CONFIG, "gres.conf": GPUS}
        for name, text in texts.items():
            (folder / name).write_text(text.format(host=self.host, folder=folder, ports=ports))
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        # The executor drops SLURM_CONF on the way into a job: its commands are given it by name.
        for name in COMMANDS:
            script = folder / "bin" / name
            script.write_text(
                f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec /usr/bin/{name} "$@"\n'
            )
            script.chmod(0o755)

    @property
    def path(self) -> str:
        return f"{self.folder}/bin:{PATH}"

    def start(self) -> None:
        here = self.folder
        munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        files = [f"--{option}={here}/munge.{end}" for option, end in munge.items()]
        self._daemon("munged", "--foreground", "--force", f"--seed-file={here}/munge.seed", *files)
        wait_for("munge", (here / "munge.socket").exists, 20)
        self._start_controller()
        self.start_slurmd()

    def _start_controller(self) -> None:
        self._daemon("slurmctld", "-D", "-f", f"{self.folder}/slurm.conf")

    def start_slurmd(self) -> None:
        self._daemon("slurmd", "-D", "-f", f"{self.folder}/slurm.conf")
        ready = ("idle", "mixed", "allocated")
        wait_for("the node", lambda: self.ask("sinfo", "-h", "-o", "%T") in ready, 60)

    def _daemon(self, name: str, *args: str) -> None:
        command = [shutil.which(name, path=PATH) or name, *args]
        env = os.environ | {"SLURM_CONF": f"{self.folder}/slurm.conf"}
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(command, stdout=out, stderr=out, env=env)

    def ask(self, command: str, *args: str) -> str:
        """What one of SLURM's commands prints; "" where it fails."""
        full = [str(self.folder / "bin" / command), *args]
        return subprocess.run(full, capture_output=True, text=True).stdout.strip()

    def running(self) -> list[str]:
        return self.ask("squeue", "-h", "-t", "running", "-o", "%i").split()

    def fail(self) -> None:
        """The node dies with all its processes, is noticed, and comes back."""
        jobs = self.running()
        pids = [int(line.split()[0]) for job in jobs for line in self._processes(job)]
        self.daemons["slurmd"].kill()
        self.daemons["slurmd"].wait()
        for pid in [*self._stepds(), *(pid for pid in pids if pid > 1)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        name = f"NodeName={self.host}"
        self.ask("scontrol", "update", name, "State=DOWN", "Reason=test")
        wait_for("the jobs to be requeued", lambda: not self.running(), 60)
        self.ask("scontrol", "update", name, "State=RESUME")
        self.start_slurmd()

    def restart_controller(self, away: float) -> None:
        """The controller dies, is away for some seconds, and comes back with what it has saved."""
        self.daemons["slurmctld"].kill()
        self.daemons["slurmctld"].wait()
        time.sleep(away)
        self._start_controller()
        wait_for("the controller", lambda: self.ask("sinfo", "-h", "-o", "%T"), 60)

    def _processes(self, job: str) -> list[str]:
        """Of every step of a job: "PID JOBID STEPID LOCALID GLOBALID"."""
        return self.ask("scontrol", "listpids", job).splitlines()[1:]

    def _stepds(self) -> list[int]:
        """slurmstepd's of this node: those that were started with its configuration."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                name, conf = (process / "comm").read_text(), (process / "environ").read_bytes()
            except OSError:
                continue
            if name.startswith("slurmstepd") and f"{self.folder}/".encode() in conf:
                found.append(int(process.name))
        return found

    def stop(self) -> None:
        for job in self.ask("squeue", "-h", "-o", "%i").split():
            self.ask("scancel", job)
        end = time.monotonic() + 40
        while self.running() and time.monotonic() < end:
            time.sleep(1)
        for name in ("slurmd", "slurmctld", "munged"):
            if (daemon := self.daemons.get(name)) and daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
