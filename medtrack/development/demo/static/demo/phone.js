// The demo phone: signs in, registers for pushes, and answers doses.

import { hangUp, listen, open, remove } from "./pushes.js";
import { drawDay, drawPushes, forgetDay, pointAt, stateOf } from "./screen.js";
import { api, memory, Problem, SignedOut, signIn, Unreachable } from "./session.js";
import { clock, longDate, speak, text, written } from "./words.js";

const SNOOZE_MINUTES = 10;
const NOTICE_MS = 15_000;
const MINUTE_MS = 60_000;
const LOOK_AGAIN_MS = 15_000;
const TOAST_MS = 6000;

const byId = (id) => document.getElementById(id);
const { push_service: pushService } = JSON.parse(byId("config").textContent);
const browserLanguage = document.documentElement.lang;
const form = byId("sign-in");

let doses = [];

// Messages

let toastTimer = 0;

function say(sentence) {
  byId("toast").textContent = sentence;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { byId("toast").textContent = ""; }, TOAST_MS);
}

function explain(problem) {
  if (problem instanceof SignedOut) leave(text("signed_out"));
  else if (problem instanceof Unreachable) say(memory.read() ? text("offline") : text("unreachable"));
  else if (problem instanceof Problem && problem.message) say(problem.message);
  else say(text("failed"));
}

/** Runs an action of the user and shows a message when it fails. */
const asked = (work) => async (event) => {
  event?.preventDefault?.();
  try {
    await work(event);
  } catch (problem) {
    explain(problem);
  }
};

// Drawing

function draw() {
  const known = memory.read();
  const now = Date.now();
  const zone = known?.user.timezone;
  byId("clock").textContent = clock(now, zone);
  byId("date").textContent = longDate(now, zone) + (zone ? ` · ${zone.split("/").pop().replace("_", " ")}` : "");
  if (!known) return;
  drawDay(doses, zone, act);
  drawPushes(known.pushes, zone, { act, open: touch, dismiss });
}

function showScreen() {
  const known = memory.read();
  speak(known?.user.language ?? browserLanguage);
  byId("phone").dataset.screen = known ? "day" : "sign-in";
  form.hidden = Boolean(known);
  byId("day").hidden = byId("pushes").hidden = byId("link").hidden = !known;
  if (known) byId("day-title").textContent = `${text("today")} · ${known.user.name}`;
  draw();
}

function showLink(state) {
  byId("link").dataset.state = state;
  byId("link").textContent = text(state);
}

// Doses

async function loadDay() {
  const day = await api("GET", "doses");
  doses = day.results;
  const waiting = new Set(doses.filter((dose) => dose.status === "pending").map((dose) => dose.id));
  const seen = new Set(doses.map((dose) => dose.id));
  remove((push) => push.doses.length && push.doses.every((id) => seen.has(id) && !waiting.has(id)));
  draw();
}

/** Queues one event per dose, in order. Events that cannot be sent now stay in the queue. */
async function act(ids, action) {
  const minutes = action === "snooze" ? { minutes: SNOOZE_MINUTES } : {};
  const events = ids.map((dose_id) => ({
    event_id: crypto.randomUUID(), action, dose_id, occurred_at: new Date().toISOString(), ...minutes,
  }));
  memory.change({ unsent: [...memory.read().unsent, ...events] });
  await asked(send)();
  if (action === "snooze") remove((push) => push.doses.length && push.doses.every(isQuiet));
  draw();
}

const isQuiet = (id) => doses.some((dose) => dose.id === id && !["due", "later"].includes(stateOf(dose)));

let sending = Promise.resolve();

/** Sends one event at a time, so that none is sent twice or out of order. */
function send() {
  sending = sending.catch(() => null).then(sendWaiting);
  return sending;
}

const MOST_EVENTS = 500;

/** Whether the same request may succeed later. */
const isPassing = (problem) =>
  problem instanceof Unreachable || (problem instanceof Problem && (problem.status >= 500 || problem.status === 429));

async function sendWaiting() {
  const unsent = memory.read()?.unsent.slice(0, MOST_EVENTS) ?? [];
  if (!unsent.length) return;
  let answers;
  try {
    answers = unsent.length === 1 ? [await sendAlone(unsent[0])] : await sendTogether(unsent);
  } catch (problem) {
    if (isPassing(problem)) doses = doses.map((dose) => foreseen(dose, unsent));
    else if (problem instanceof Problem) forgetSent(unsent);
    throw problem;
  }
  forgetSent(unsent);
  doses = doses.map((dose) => answers.findLast((answer) => answer?.id === dose.id) ?? dose);
  await loadDay();
}

function sendAlone({ dose_id, action, ...said }) {
  return api("POST", `doses/${dose_id}/${action}`, said);
}

async function sendTogether(events) {
  const { results } = await api("POST", "doses/events", { events });
  const refused = results.find((result) => result.status === "refused");
  if (refused) say(refused.problem.detail);
  return results.map((result) => result.dose);
}

function forgetSent(events) {
  const sent = new Set(events.map((event) => event.event_id));
  const unsent = memory.read()?.unsent ?? [];
  memory.change({ unsent: unsent.filter((event) => !sent.has(event.event_id)) });
}

/** The dose as it will be after the queued events have been sent. */
function foreseen(dose, unsent) {
  const last = unsent.findLast((event) => event.dose_id === dose.id);
  if (!last) return dose;
  const until = new Date(Date.parse(last.occurred_at) + SNOOZE_MINUTES * MINUTE_MS).toISOString();
  const becomes = {
    take: { status: "taken", taken_at: last.occurred_at },
    skip: { status: "skipped" },
    undo: { status: "pending", snoozed_until: null },
    snooze: { snoozed_until: until },
  };
  return { ...dose, ...becomes[last.action], unsent: true };
}

/** Creates a one-day schedule at the next full minute, so that an ordinary reminder follows. */
async function makeDoseSoon() {
  const { timezone } = memory.read().user;
  const { results } = await api("GET", "medications");
  const medication = results.find(({ is_active, paused_at }) => is_active && !paused_at) ?? results[0];
  const due = Math.ceil((Date.now() + NOTICE_MS) / MINUTE_MS) * MINUTE_MS;
  const { date, time } = written(due, timezone);
  await api("POST", `medications/${medication.id}/schedules`, {
    scheduled_time: time, start_date: date, end_date: date,
  });
  say(text("soon_made", { medicine: medication.name, time }));
  await loadDay();
}

// Pushes

function touch(push) {
  open(push);
  draw();
  pointAt(push.doses[0]);
}

function dismiss(push) {
  remove((shown) => shown.id === push.id);
  draw();
}

function hear() {
  if (!pushService) return showLink("no_pushes");
  showLink("connecting");
  return listen(pushService, {
    changed: () => { draw(); asked(loadDay)(); },
    linked: asked(async (isOpen) => {
      showLink("connecting");
      if (!isOpen) return;
      const { token } = memory.read();
      const device = await api("POST", "devices", { token, platform: "web", device_id: token, app_version: "demo" });
      memory.change({ deviceId: device.id });
      showLink("listening");
    }),
  });
}

// Signing in and out

async function enter() {
  showScreen();
  hear();
  await send();
  await loadDay();
}

function leave(sentence = "") {
  hangUp();
  memory.forget();
  doses = [];
  forgetDay();
  byId("push-list").replaceChildren();
  showScreen();
  say(sentence);
  form.querySelector("button").focus();
}

form.addEventListener("change", ({ target }) => {
  if (target.name === "patient") form.email.value = target.value;
});
form.addEventListener("submit", asked(async (event) => {
  event.preventDefault();
  await signIn(form.email.value, form.password.value);
  say("");
  await enter();
  byId("day-title").focus();
}));
byId("sign-out").addEventListener("click", asked(async () => {
  await send();
  await api("POST", "auth/logout");
  leave();
}));
byId("test").addEventListener("click", asked(async () => {
  await api("POST", `devices/${memory.read().deviceId}/test`);
  say(text("test_sent"));
}));
byId("soon").addEventListener("click", asked(makeDoseSoon));

const lookAgain = asked(async () => {
  if (!memory.read()) return;
  await send();
  await loadDay();
});
addEventListener("online", lookAgain);
document.addEventListener("visibilitychange", () => document.hidden || lookAgain());
setInterval(lookAgain, LOOK_AGAIN_MS);
setInterval(draw, 1000);

if (memory.read()) asked(enter)();
else showScreen();
