// The last runs of the jobs in sight, asked for when scrolling has come to rest, three jobs at a time.
import { get, jobPath } from "./api.js";
import { jobs, markFull, putRuns, recents, runAt } from "./store.js";

const AT_REST = 150;
const AT_ONCE = 3;
let wanted = [];
let working = 0;
let timer = null;

export function wantRecents(ids) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    wanted = ids.filter((id) => !recents.get(id)?.full && jobs.get(id)?.last_run);
    while (working < AT_ONCE && wanted.length) work();
  }, AT_REST);
}

async function work() {
  working++;
  while (wanted.length) {
    const id = wanted.shift();
    // Marked before the answer: a failure is not asked for again with each scroll.
    markFull(id);
    try {
      const page = await get(jobPath(id, "runs"), { limit: 20 });
      putRuns(page.history.sort((a, b) => runAt(a) - runAt(b)));
    } catch {
      // The row shows what the stream has told.
    }
  }
  working--;
}
