"""The agenda over HTTP: what is listed, what is only counted, and where starts crowd."""

from __future__ import annotations

import pytest
from web.driver import Client
from web.sample import interval_job


async def make(client: Client, **job: object) -> None:
    answer = await client.post("/api/jobs", interval_job(**job))
    assert 201 == answer.status, answer.body


async def test_agenda_lists_each_start_of_the_coming_day_in_order(client: Client) -> None:
    await make(client, job_id="noon", schedule_type="daily", schedule_config={"time": "12:00"})
    await make(client, job_id="six-hourly", schedule_config={"interval": 6, "unit": "hours"})

    agenda = (await client.get("/api/agenda")).json()

    assert ["noon", *["six-hourly"] * 4] == sorted(entry["job_id"] for entry in agenda["entries"])
    assert sorted(entry["at"] for entry in agenda["entries"]) == [entry["at"] for entry in agenda["entries"]]
    assert 5 == sum(agenda["starts"]) == agenda["total"]
    assert (96, 900, True) == (len(agenda["starts"]), agenda["step"], agenda["complete"])


@pytest.mark.parametrize(("hours", "slots"), [(24, 96), (168, 168)])
async def test_job_that_starts_all_the_time_is_counted_and_not_listed(client: Client, hours: int, slots: int) -> None:
    await make(client, job_id="busy", schedule_config={"interval": 10, "unit": "seconds"})

    agenda = (await client.get(f"/api/agenda?hours={hours}")).json()

    assert [] == agenda["entries"]
    assert [{"job_id": "busy", "starts": hours * 360}] == agenda["often"]
    assert slots == len(agenda["starts"])
    assert 0 == sum(agenda["starts"])


async def test_minute_in_which_many_jobs_start_is_named(client: Client) -> None:
    for n in range(6):
        await make(client, job_id=f"night-{n}", schedule_type="daily", schedule_config={"time": "03:00"})
    await make(client, job_id="alone", schedule_type="daily", schedule_config={"time": "04:00"})

    [crowd] = (await client.get("/api/agenda")).json()["crowded"]

    assert 6 == crowd["starts"]
    assert crowd["at"].endswith("T03:00:00+00:00")


async def test_paused_job_and_one_past_its_end_are_not_on_the_agenda(client: Client) -> None:
    await make(client, job_id="paused", enabled=False)
    await make(client, job_id="far", starting="2100-01-01T00:00:00+00:00")

    agenda = (await client.get("/api/agenda?hours=168")).json()

    assert [] == agenda["entries"] == agenda["often"]
    assert 0 == sum(agenda["starts"])


async def test_agenda_of_more_than_a_week_is_refused(client: Client) -> None:
    answer = await client.get("/api/agenda?hours=169")

    assert 422 == answer.status
    assert "?hours" == answer.json()["errors"][0]["pointer"]
