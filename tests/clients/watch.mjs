// An EventSource as browsers have it. Reads {url, headers, until, cut} from stdin: listens until an event
// whose id or whose state is in `until`; with `cut`, each connection is lost after an event, as
// networks do. Writes {events, connections, status} to stdout.
import { readFileSync } from "node:fs";
import { EventSource } from "eventsource";

const asked = JSON.parse(readFileSync(0, "utf8"));
const seen = { events: [], connections: [], status: null };
let cable = new AbortController();

function connect(url, init) {
  const sent = { ...init.headers, ...asked.headers };
  seen.connections.push(sent["Last-Event-ID"] ?? null);
  cable = new AbortController();
  return fetch(url, { ...init, headers: sent, signal: AbortSignal.any([init.signal, cable.signal]) });
}

// Between two connections nothing else keeps Node from ending.
const awake = setInterval(() => {}, 1000);
const source = new EventSource(asked.url, { fetch: connect });
await new Promise((resolve) => {
  source.addEventListener("state", (event) => {
    const data = JSON.parse(event.data);
    seen.events.push({ id: event.lastEventId, data });
    if (asked.until.includes(event.lastEventId) || asked.until.includes(data.state)) resolve();
    else if (asked.cut) cable.abort(new TypeError("the network is gone"));
  });
  source.addEventListener("error", (event) => {
    // Refused for good: EventSource does not come back.
    if (source.readyState === EventSource.CLOSED) {
      seen.status = event.code;
      resolve();
    }
  });
});
source.close();
clearInterval(awake);
process.stdout.write(JSON.stringify(seen));
