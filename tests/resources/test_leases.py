"""Leases on a real S3 server: one holder, a dead holder's place is taken, a living one's is not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from resources.artifacts import leases
from resources.artifacts.atomic import StorageError
from resources.artifacts.leases import Lease, LeaseLost, is_gone, require_conditional_puts, this_process
from resources.artifacts.objects import Objects

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, threading
from resources.artifacts.leases import Lease
from resources.artifacts.objects import Objects
lease = Lease(Objects(sys.argv[1]), "work", heartbeat_s=0.3, expiry_s=float(sys.argv[3]))
if sys.argv[2] == "elsewhere":
    lease._process = {"host": "elsewhere", "boot": "b", "pid": 1, "start": "1"}
with lease:
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def objects(bucket):
    return Objects(bucket)


def hold(objects, where, expiry_s):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, objects.url, where, str(expiry_s)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip() == "held"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_lease_that_was_given_back_is_taken_at_once_and_leaves_one_object(objects):
    for _ in range(3):
        with Lease(objects, "work") as lease:
            lease.ensure_held()
    assert list(objects.list("leases/work")) == ["0000000003.json"]


def test_only_one_of_many_holds_it(objects):
    inside, most, errors = [], [], []

    def hold_it():
        try:
            with Lease(objects, "work"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.1)
                inside.pop()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hold_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and most == [1, 1, 1, 1]


def test_a_killed_process_of_this_machine_is_replaced_at_once(objects):
    process = hold(objects, "here", 3600)
    assert is_gone(json.loads(objects.get("leases/work/0000000001.json"))["process"]) is False
    kill(process)
    assert is_gone(json.loads(objects.get("leases/work/0000000001.json"))["process"]) is True
    begun = time.monotonic()
    with Lease(objects, "work"):
        assert time.monotonic() - begun < 120


def test_a_holder_elsewhere_is_waited_for_while_it_lives_and_replaced_when_it_is_silent(objects):
    process, waited, taken = hold(objects, "elsewhere", 6.0), [], threading.Event()

    def wait():
        with Lease(objects, "work", waiting=waited.append):
            taken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not taken.wait(6.5), "a holder that gives signs of life every 0.3 s was replaced"
    kill(process)
    assert not taken.wait(4.0), "a holder was replaced before its time was over"
    assert taken.wait(120) and waited == ["elsewhere"]
    thread.join()


def test_a_holder_that_was_silent_for_too_long_gives_up(objects):
    with Lease(objects, "work", heartbeat_s=3600, expiry_s=4) as lease:
        lease.ensure_held()
        time.sleep(4.1)
        with pytest.raises(LeaseLost, match="no sign of life for 4 s"):
            lease.ensure_held()


def test_a_holder_learns_that_another_took_its_place(objects):
    with Lease(objects, "work", heartbeat_s=0.2, expiry_s=60) as lease:
        assert objects.create("leases/work/0000000002.json", b"{}")
        assert lease._lost.wait(60)
        with pytest.raises(LeaseLost, match="another one took over; nothing was stored; refresh again"):
            lease.ensure_held()


def test_the_same_number_of_another_boot_namespace_or_machine_is_not_taken_for_this_one():
    own = this_process()
    assert not is_gone(own)
    assert is_gone({**own, "start": "1"}), "the number was given to another process"
    assert not is_gone({**own, "start": "1", "host": "elsewhere"})
    assert not is_gone({**own, "start": "1", "boot": own["boot"].replace("/pid:", "/pid:9")})
    assert not is_gone({**own, "start": "1", "boot": "another/" + own["boot"].partition("/")[2]})


def test_a_server_that_ignores_conditional_puts_is_refused(bucket):
    class Ignoring(Objects):
        """A gateway that drops the header If-None-Match, as some do."""

        def create(self, name, data):
            self.put(name, data)
            return True

    leases._checked.discard(bucket)
    with pytest.raises(StorageError, match="ignores conditional puts.*or a shared disk"):
        require_conditional_puts(Ignoring(bucket))
    require_conditional_puts(Objects(bucket))
