// The phone's notifications: receives pushes, keeps those that are shown, and acknowledges each push.

import { api, memory, Problem } from "./session.js";

const ACK_TRIES = 5;
const ACK_PAUSE_MS = 1000;

let source = null;

/** Listens until `hangUp` is called. Calls `changed(push)` for pushes, `linked(isOpen)` for the connection. */
export function listen(service, { changed, linked }) {
  hangUp();
  const { token, lastPush } = memory.read();
  source = new EventSource(`${service}/pushes?${new URLSearchParams({ token, after: lastPush })}`);
  source.onopen = () => linked(true);
  source.onerror = () => linked(false);
  source.onmessage = (event) => {
    memory.change({ lastPush: Number(event.lastEventId) });
    changed(receive(JSON.parse(event.data)));
  };
}

export function hangUp() {
  source?.close();
  source = null;
}

/** A push replaces the shown push with the same tag; a withdrawal removes it. */
function receive({ data, notification }) {
  const push = {
    id: data.notification_id,
    kind: data.kind,
    tag: notification?.tag || data.tag,
    doses: (data.dose_ids || "").split(",").filter(Boolean),
    title: notification?.title,
    body: notification?.body,
    at: Date.now(),
  };
  remove((shown) => shown.tag === push.tag);
  if (notification) memory.change({ pushes: [push, ...memory.read().pushes] });
  acknowledge(push, notification ? "shown" : "arrived");
  return push;
}

export function remove(isGone) {
  const { pushes } = memory.read();
  const left = pushes.filter((push) => !isGone(push));
  if (left.length < pushes.length) memory.change({ pushes: left });
}

/** Removes a push that the user touched, and acknowledges it as opened and read. */
export function open(push) {
  remove((shown) => shown.id === push.id);
  acknowledge(push, "opened");
  told(() => api("POST", `notifications/${push.id}/read`));
}

function acknowledge(push, state) {
  told(() => api("POST", `notifications/${push.id}/ack`, { state }));
}

/** Shows no message when it fails. The push may arrive before MedTrack has stored its record. */
async function told(tell) {
  for (let tries = 1; tries <= ACK_TRIES; tries += 1) {
    try {
      return await tell();
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.type !== "NotSentYet") return null;
    }
    await new Promise((resume) => setTimeout(resume, ACK_PAUSE_MS));
  }
  return null;
}
