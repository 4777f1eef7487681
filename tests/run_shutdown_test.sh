#!/usr/bin/env bash
# Serves examples/hosts/fastapi_host.py on port 8001, opens the event stream, presses Ctrl+C once for you, and says how
# long the server took. With --by-hand it leaves pressing Ctrl+C to you: open http://localhost:8001/scheduler/ first.
set -euo pipefail
cd "$(dirname "$0")/../examples/hosts"

PYTHON="${PYTHON:-python}"
PORT="${PORT:-8001}"

if [ "${1:-}" = "--by-hand" ]; then
    echo "open http://localhost:$PORT/scheduler/ and press Ctrl+C once"
    exec "$PYTHON" -m uvicorn fastapi_host:app --port "$PORT"
fi

log=$(mktemp)
stream=$(mktemp)
trap 'kill "$server" "$reader" 2>/dev/null || true; rm -f "$log" "$stream"' EXIT

# A shell starts background programs with SIGINT ignored; Python programs it starts itself do not inherit that.
"$PYTHON" - "$PORT" >"$log" 2>&1 <<'PY' &
import logging
import signal
import sys

signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(level=logging.INFO)
import uvicorn

uvicorn.run("fastapi_host:app", port=int(sys.argv[1]))
PY
server=$!

for _ in $(seq 100); do
    curl -sf "localhost:$PORT/scheduler/healthz" >/dev/null && break
    sleep 0.1
done
curl -sN "localhost:$PORT/scheduler/events" >"$stream" &
reader=$!
for _ in $(seq 50); do
    grep -q "event: snapshot" "$stream" && break
    sleep 0.1
done

started=$(date +%s%N)
kill -INT "$server"
wait "$server" || true
milliseconds=$((($(date +%s%N) - started) / 1000000))
wait "$reader" || true

cat "$log"
echo "the server was gone after $milliseconds ms"
fail() {
    echo "FAILED: $1" >&2
    exit 1
}
[ "$milliseconds" -lt 2000 ] || fail "it took 2 s or more"
grep -q "Signal 2 received, sent shutdown signal to SSE connections" "$log" || fail "the log does not mention the signal"
tail -c 30 "$stream" | grep -q "data: bye" || fail "the stream got no goodbye"
! grep -Eq "Traceback|timeout|ERROR" "$log" || fail "the log has an error"
echo "passed"
