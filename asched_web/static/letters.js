// How many dead letters there are. The stream does not tell, so it is asked after a run has failed or was replayed.
import { effect, signal } from "./ui.js";
import { get } from "./api.js";
import { connection } from "./live.js";
import { isFailed, runs, runsChanged } from "./store.js";

export const letters = signal(0);
/** Grows when dead letters may have come or gone. */
export const lettersChanged = signal(0);

let waiting = null;
let seen = "";

export async function countLetters() {
  const { total } = await get("api/dead-letters", { limit: 1 });
  letters.value = total;
  lettersChanged.value++;
}

function later() {
  // Runs fail in bursts; the number need not be newer than a few seconds.
  waiting ??= setTimeout(() => {
    waiting = null;
    countLetters().catch(() => {});
  }, 2000);
}

effect(() => {
  if (connection.value === "live") countLetters().catch(() => {});
});

effect(() => {
  runsChanged.value;
  let last = "";
  for (const run of runs.values()) if (isFailed(run.status) || (run.replay_of && run.status === "succeeded")) last = run.run_id;
  if (last !== seen) {
    seen = last;
    if (connection.peek() === "live") later();
  }
});
