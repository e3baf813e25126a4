"""One running container of the image."""
import json
import subprocess

import engine as engines
import proc

# Everything that a careful operator takes away.
RESTRICTED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


class Container:
    """One `docker run --detach` of the image; ready, unless wait=False.  started: the id of one that runs already."""

    def __init__(self, docker, *options, command=(), image=engines.IMAGE, publish=True, wait=True, started=None):
        self._docker = docker
        port = ("--publish=127.0.0.1::10000",) if publish else ()
        self.id = started or docker("run", "--detach", *port, *options, image, *command)
        self.endpoint = f"tcp://{docker('port', self.id, '10000')}" if publish else None
        if wait:
            self.wait_log("ready")

    def inspect(self):
        return self._docker.inspect(self.id)

    @property
    def pid(self):
        """Of PID 1, as the host sees it."""
        return self.inspect()["State"]["Pid"]

    def workers(self):
        return proc.children(self.pid)

    def log(self):
        """Every line, as JSON: a line that is none fails the test."""
        done = self._docker.attempt("logs", self.id)
        assert not done.stdout, "nothing but the log, and that on stderr"
        return [json.loads(line) for line in done.stderr.splitlines()]

    def find(self, text):
        return [entry for entry in self.log() if text in json.dumps(entry)]

    def wait_log(self, text, timeout=20.0):
        """The engine tells of no line by itself, so the follower's end is the event: it prints until we have read it."""
        with subprocess.Popen(["timeout", str(timeout), "docker", "logs", "--follow", self.id],
                              env=self._docker.environment, stderr=subprocess.PIPE, text=True) as follower:
            lines = []
            for line in follower.stderr:
                lines.append(line)
                if text in line:
                    follower.terminate()
                    return json.loads(line)
        raise AssertionError(f"no line with {text!r} in the log:\n{''.join(lines)}")

    def exec(self, *command):
        return self._docker.attempt("exec", self.id, *command)

    def signal(self, name):
        self._docker("kill", f"--signal={name}", self.id)

    def stop(self, *options):
        """The exit code."""
        self._docker("stop", *options, self.id)
        return self.inspect()["State"]["ExitCode"]

    def wait_exit(self, timeout=20):
        return int(self._docker("wait", self.id, timeout=timeout))

    def complaints(self):
        return [entry for entry in self.log() if entry["level"] in ("warning", "error")]
