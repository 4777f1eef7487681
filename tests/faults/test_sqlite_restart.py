"""A program is killed and started again: its schedule is there, and goes on as its policies say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills with SIGKILL"),
    # One story, told once.
    pytest.mark.xdist_group("sqlite_restart"),
]

# Four instants of the half-second jobs and more pass while nobody is there.
DEAD_FOR = 2.2

PROGRAM = Path(__file__).parents[1] / "support" / "sqlite_lives.py"


class Story(NamedTuple):
    before: dict[str, Any]
    """What the first life knew just before it was killed."""
    found: dict[str, Any]
    """What the second one found at its start."""
    after: dict[str, Any]
    kept_waiting: bool
    journal: list[str]
    """The effects of both lives, in their order."""

    def effects(self, life: str) -> Counter[str]:
        return Counter(line.partition(" ")[2] for line in self.journal if line.startswith(life))

    def runs(self, job: str) -> list[dict[str, Any]]:
        return [run for run in self.after["runs"] if run["job"] == job]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("lives")
    journal = folder / "journal"
    command = [sys.executable, str(PROGRAM)]
    where = [str(folder / "jobs.db"), str(journal)]
    with subprocess.Popen([*command, "first", *where], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            before = json.loads(process.stdout.readline())
        finally:
            process.kill()
    # Instants of the real clock must pass.
    time.sleep(DEAD_FOR)
    done = subprocess.run([*command, "second", *where], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Story(before, told["found"], told["after"], told["kept_waiting"], journal.read_text().splitlines())


def test_declared_and_added_jobs_are_there(story: Story) -> None:
    renamed = {"new-name" if name == "old-name" else name for name in story.before["jobs"]}

    assert set(story.found["jobs"]) == renamed
    assert {story.found["jobs"][name]["origin"] for name in ("kept", "new-name")} == {"declared"}
    assert story.found["jobs"]["by-hand"]["args"] == ["hello"]


def test_pauses_and_edits_are_there(story: Story) -> None:
    assert story.found["jobs"]["paused"]["paused"]
    assert story.found["jobs"]["by-hand"]["timeout"] == 9
    assert story.effects("second")["plain silence"] == 0


def test_counters_history_and_dead_letters_are_there(story: Story) -> None:
    [letter] = story.before["letters"]
    ended = {run["id"] for run in story.before["runs"] if run["status"] in ("succeeded", "failed")}

    assert story.found["letters"][-1] == letter
    assert ended <= {run["id"] for run in story.found["runs"]}
    assert story.found["total_runs"] >= story.before["total_runs"]
    assert (story.found["jobs"]["dead"]["runs"], story.found["jobs"]["dead"]["failures"]) == (1, 1)


def test_retry_that_waited_comes_with_its_next_attempt(story: Story) -> None:
    [run] = story.runs("waiting")

    assert (run["status"], run["attempt"]) == ("succeeded", 2)
    assert story.effects("first")["waiting 1"] == 1
    assert story.effects("second")["waiting 2"] == 1


def test_job_whose_function_is_not_registered_yet_is_kept_and_runs_once_it_is(story: Story) -> None:
    assert story.found["jobs"]["later"]["status"] == "unresolved"
    assert story.kept_waiting
    assert story.effects("second")["comes-later"] >= 1


def test_missed_instants_are_caught_up_as_the_policy_says(story: Story) -> None:
    missed = {policy: [run for run in story.runs(policy) if run["status"] == "missed"] for policy in ("skip", "latest")}

    # "skip" lets them pass, "latest" runs the last one of them, "all" each.
    assert [run["reason"] for run in missed["skip"]] == ["no_catch_up"]
    assert [run["reason"] for run in missed["latest"]] == ["coalesced"]
    assert missed["skip"][0]["instants"] >= 4
    assert missed["latest"][0]["instants"] >= 3
    assert not [run for run in story.runs("all") if run["status"] == "missed"]
    assert story.effects("second")["half all"] >= 4


def test_run_in_flight_is_made_again_or_lost_as_its_crash_policy_says(story: Story) -> None:
    [again] = story.runs("again")
    [never] = story.runs("never-again")

    assert (again["status"], again["attempt"]) == ("succeeded", 2)
    assert (never["status"], never["attempt"]) == ("lost", 1)
    assert story.effects("second")["again 2"] == 1
    assert not [effect for effect in story.effects("second") if effect.startswith("never-again")]


def test_unchanged_declaration_keeps_its_plan_and_a_changed_one_plans_anew(story: Story) -> None:
    before, found = story.before["jobs"], story.found["jobs"]

    assert found["kept"]["next"] == before["kept"]["next"]
    assert found["changed"]["next"] > before["changed"]["next"]
    assert "2 hours" in found["changed"]["trigger"].lower()


def test_alias_carries_a_renamed_job_with_its_plan_and_history(story: Story) -> None:
    before, found = story.before["jobs"]["old-name"], story.found["jobs"]["new-name"]
    [run] = [run for run in story.found["runs"] if run["job"] == "new-name"]

    assert (found["next"], found["runs"]) == (before["next"], 1)
    assert (run["status"], run["result"]) == ("succeeded", "done")
