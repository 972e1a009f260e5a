# SPDX-License-Identifier: Apache-2.0
"""Looks after a command in the lab from outside: whether anything happens there still, and what is to be seen
when its time is over. A lost guest halts forever and its host idles, on any machine, however
slow or busy; so it need not be waited for until a limit made for slow machines."""
import time

import schedstat
from errors import LabError

# A command that is silent for so long while its lab idles is hopeless.
IDLE_SECONDS = 60
# Of one CPU. Ticks of two idle kernels take 1 to 3 %, a guest that boots takes all that it can get.
IDLE_SHARE = 0.1
ANSWER_SECONDS = 30
SHOW = """
echo "processes:"; ps -o pid,stat,args | grep -v -e ' \\[' -e ' ps -o ' -e grep
echo "the end of the host kernel's log:"; dmesg | tail -n 20
"""


class Watch:
    """`start(argv)` starts an unwatched command, `console()` is the end of the console. With
    `ends_idle` false a command may wait for as long as it likes."""

    def __init__(self, pid, start, console, ends_idle):
        self._pid, self._start, self._console, self._ends_idle = pid, start, console, ends_idle
        # Since when the lab idles, and what it had wanted of CPUs then.
        self._since = None

    def why_done_for(self, silent_seconds):
        if not self._ends_idle:
            return ""
        try:
            wanted = sum(schedstat.ran_and_waited_seconds(self._pid))
        except (OSError, ValueError):
            return ""
        now = time.monotonic()
        if self._since is None or wanted - self._since[1] > IDLE_SHARE * (now - self._since[0]):
            self._since = (now, wanted)
        idle_seconds = min(silent_seconds, now - self._since[0])
        if idle_seconds < IDLE_SECONDS:
            return ""
        return f"hopeless: it is silent, and the lab idle, for {idle_seconds:.0f} s"

    def describe(self):
        """What runs in the lab and the end of its kernel's log, by the agent or else by the console."""
        try:
            shown = self._start(["sh", "-c", SHOW]).wait(ANSWER_SECONDS)
            if shown.status == 0:
                return shown.out.decode(errors="replace")
        except LabError:
            pass
        return f"the lab does not answer{self._console()}\n"
