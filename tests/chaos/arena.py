"""One daemon of one model, its clients, who looks at it, and the two lanes of events that happen to it meanwhile."""
import itertools
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import daemon_process
import proc
from blame import acquit
from events import GREETINGS, ORDERS, STRIKES
from load import BROKEN, Load
from log_file import text_of
from scraper import Scraper, excuse
from tls_authority import Authority

# Lines of the daemon that the events provoke.  Any other warning or error is a finding.
PROVOKED = ("killed by SIG", "workers exit early", "workers die more", "Too many open files", "open files", "cannot fork a worker",
            "cannot make a process", "cannot accept connections", "workers run as root", "reload failed", "cannot start",
            "exited with code 70", "upgrade failed", "eventfd_select_interrupter", "epoll: ",
            "was stopped", "crashed: SIGSEGV", "stack of ", "all workers are full", "observer (pid", "cannot start the observer")

HANDLERS = ("greet", "echo")
PROGRAM = Path(__file__).parent / "served_by_copies.py"


class Arena:
    def __init__(self, model, seed, directory):
        self.model, self.seed, self.directory = model, f"{seed}/{model}", Path(directory) / model
        self.strikes, self.events, self.findings = [], Counter(), []
        self.observer_kills = []  # when each was
        self.told_to_end = set()
        self._over = threading.Event()
        self.no_upgrade = threading.Lock()  # is held while one is under way, and by what cannot happen meanwhile
        self.directory.mkdir(parents=True)
        self.binary = self.directory / "preforkd"
        self.install()
        self.config = self.directory / "config"
        # An endpoint of its own text each: by that a reload knows which socket serves it.
        lasting, *pairs = self._make_pairs()
        (self.directory / "lasting.pem").write_text(lasting)
        self._pairs = itertools.cycle(pairs)
        self._ticket_keys = []
        self.renew()
        self.rotate()
        self._listen = [address for number, handler in enumerate(HANDLERS) for address in self._addresses(number, handler)]
        self.closed = self.directory / "closed"  # to everybody but root
        self.closed.mkdir(mode=0o700)
        self.occupied = socket.create_server(("127.0.0.1", 0))
        self.write_config()
        self.control = f"unix://{self.directory}/control.sock"
        self.observed = f"unix://{self.directory}/observe.sock"
        self.daemon = daemon_process.Daemon("--config", str(self.config), "--control", self.control, "--observe", self.observed,
                                            listen=None, workers=None, directory=self.directory, executable=str(self.binary))

    @property
    def runs_copies(self):
        """Whether its workers are copies of a program, which accepts by itself and knows nothing of TLS."""
        return self.model == "pool"

    def _addresses(self, number, handler):
        addresses = [f"tcp://127.0.0.{number + 1}:0", f"unix://{self.directory}/{handler}"]
        if self.runs_copies:
            return addresses
        return [f"{each} handler={handler}" for each in (*addresses, f"tls://127.0.0.{number + 1}:0 {self._keys(number)}")]

    # --- what events use ----------------------------------------------------------------------------------------------

    def write_config(self, *lines, workers=4, greeting=GREETINGS[0]):
        """Settings that must work, and `lines`, which need not.  In one step: the daemon may be reading."""
        settings = [f"listen = {listen}" for listen in self._listen]
        settings += [f"workers = {workers}"]
        if self.runs_copies:
            settings += ["run = pool", f"program = {PROGRAM}", "ready = notify", "stderr-rate = off"]
        else:
            settings += [f"model = {self.model}", "max-requests = 2000", f"greeting = {greeting}"]
        new = self.config.with_suffix(".new")
        new.write_text("\n".join([*settings, *lines]) + "\n")
        new.rename(self.config)

    def _make_pairs(self):
        (self.directory / "authority").mkdir()
        authority = Authority(self.directory / "authority")
        pairs = [authority.issue(f"server{number}", "localhost") for number in range(3)]
        return [Path(pair.certificate).read_text() + Path(pair.key).read_text() for pair in pairs]

    @property
    def _pair(self):
        return self.directory / "pair.pem"

    def _keys(self, number):
        """Every other listener has a key process.  If that dies it reads its files anew, so these stay as they are."""
        file = self.directory / "lasting.pem" if number % 2 else self._pair
        return f"certificate={file} key={file} " + \
            ("key-process=yes" if number % 2 else f"ticket-keys={self.directory}/ticket-keys")

    def renew(self):
        """Another certificate and its key, in one file and so in one step."""
        new = self.directory / "pair.new"
        new.write_text(next(self._pairs))
        new.rename(self._pair)

    def rotate(self):
        """Another key for tickets; those of the one before are still good."""
        self._ticket_keys = [os.urandom(80), *self._ticket_keys[:1]]
        new = self.directory / "ticket-keys.new"
        new.write_bytes(b"".join(self._ticket_keys))
        new.rename(self.directory / "ticket-keys")

    def install(self, content=None):
        """Puts a new file in the place of the binary, in one step: a copy of the built one, or `content`."""
        new = self.binary.with_suffix(".new")
        if content is None:
            shutil.copy(daemon_process.PREFORKD, new)
        else:
            new.write_bytes(content)
        new.chmod(0o755)
        new.rename(self.binary)

    def outcome(self, act, done, failed, timeout=60.0):
        """Acts, and waits for the line that says how it went: whether it is `done`, and the line."""
        after = self.daemon.log.mark()
        act()
        line = self.daemon.wait_log(lambda entry: entry["message"].startswith((done, failed)), after=after,
                                    timeout=timeout)
        return line["message"].startswith(done), text_of(line)

    def preforkctl(self, *words, timeout=60.0):
        return subprocess.run([daemon_process.PREFORKCTL, *words, "--control", self.control], text=True,
                              capture_output=True, timeout=timeout, env=daemon_process.clean_environment())

    def disturbed_since(self, when):
        """Whether a strike has hit a process that was born after `when`."""
        return any(born >= when for _, _, born in self.strikes)

    def workers(self):
        """Those that a strike may hit: no trial, no rehearsal, nothing that a worker has left behind."""
        return [pid for pid in self.daemon.workers()
                if (found := proc.stat(pid)) and found.comm.startswith("preforkd-w")]

    def key_processes(self):
        """Of the generation that serves, and of those before that have not left yet."""
        return [pid for pid in proc.children(self.daemon.pid)
                if (found := proc.stat(pid)) and found.state not in "ZX" and found.comm == "preforkd-key"]

    def observers(self):
        """The one that answers, and those before that have not left yet."""
        return [pid for pid in proc.children(self.daemon.pid)
                if (found := proc.stat(pid)) and found.state not in "ZX" and found.comm == "preforkd-look"]

    def signal(self, pid, signo):
        try:
            os.kill(pid, signo)
            return True
        except ProcessLookupError:
            return False

    def strike(self, pid, signo):
        now = time.time()
        try:
            born = os.stat(f"/proc/{pid}").st_ctime
        except FileNotFoundError:
            return False
        hit = self.signal(pid, signo)
        if hit:
            self.strikes.append((now, pid, born))
        return hit

    def wait(self, seconds):
        """The script's own pauses, which end with the run."""
        self._over.wait(seconds)

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self, seconds):
        served = iter(self.daemon.endpoints)
        each = len(self._listen) // len(HANDLERS)
        endpoints = {handler: [next(served) for _ in range(each)] for handler in HANDLERS}
        lanes = [threading.Thread(target=self._lane, args=(STRIKES, "strikes", (0.05, 0.6))),
                 threading.Thread(target=self._lane, args=(ORDERS, "orders", (0.05, 0.8)))]
        pause = 0.1 if self.model == "serial" else 0.4  # there a client that waits keeps a whole worker
        answers = [f"{greeting}\n".encode() for greeting in GREETINGS]
        with Load(endpoints, self.seed, longest_pause=pause, greetings=answers) as load, \
                Scraper(self.observed, self.daemon.pid, without=f"unix://{self.directory}/extra") as scraper:
            for lane in lanes:
                lane.start()
            time.sleep(seconds)
            self._over.set()
            for lane in lanes:
                lane.join()
        self._stop()
        return self._result(load, scraper)

    def _lane(self, rows, name, pauses):
        dice = random.Random(f"{self.seed}/{name}")
        while not self._over.is_set():
            self.wait(dice.uniform(*pauses))
            row = dice.choices(rows, [row.weight for row in rows])[0]
            private = random.Random(dice.random())  # however many numbers an event draws, the script goes on the same
            try:
                self.events[row.name, row.act(self, private)] += 1
            except (AssertionError, OSError) as error:
                self.events[row.name, "FAILED"] += 1
                self.findings.append(f"{row.name}: {error}")

    def _stop(self):
        if self.daemon.process.poll() is not None:
            self.findings.append(f"the daemon ended with {self.daemon.process.returncode}")
        self.daemon.expect(*PROVOKED)
        self.findings += self.daemon.finish()

    def _result(self, load, scraper):
        explained, unexplained = acquit(load.broken, [strike[:2] for strike in self.strikes], self.daemon.log.entries)
        for visit, pid in unexplained:
            self.findings.append(f"{visit.outcome}: {visit.kind} at {visit.endpoint} from {visit.name or 'no address'}, "
                                 f"{visit.ended - visit.began:.2f} s from {time.strftime('%H:%M:%S', time.gmtime(visit.began))}"
                                 f"{visit.began % 1:.3f}"[:-5] + f" ({visit.detail}); taken by {pid or 'nobody'}")
        by_kills, lost = excuse(scraper.failures, self.observer_kills)
        self.findings += [f"{failure.path} was not answered, {failure.ended - failure.began:.2f} s from "
                          f"{time.strftime('%H:%M:%S', time.gmtime(failure.began))} ({failure.detail})" for failure in lost]
        self.findings += scraper.findings
        self.events += Counter({(f"scrape {path}", how): count for (path, how), count in scraper.outcomes.items()})
        self.events += Counter((f"scrape {failure.path}", "cut by the kill of an observer") for failure in by_kills)
        if not load.sessions.taken_up and not self.runs_copies:
            self.findings.append("no session was taken up")
        broken = Counter(visit.outcome for visit, _ in unexplained)
        return {"model": self.model, "operations": sum(self.events.values()), "connections": sum(load.counts.values()),
                **{outcome: broken[outcome] for outcome in BROKEN}, "by strikes": len(explained),
                "longest wait": load.longest_wait, "scrapes": sum(scraper.outcomes.values()), "lost": len(lost),
                "untrue": len(scraper.findings), "longest away": scraper.longest_away, "findings": self.findings,
                "events": [("visit with TLS", "session taken up", load.sessions.taken_up),
                           *((name, how, count) for (name, how), count in sorted(self.events.items()))]}
