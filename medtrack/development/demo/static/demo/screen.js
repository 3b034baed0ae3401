// Draws the doses of the day and the pushes on the lock screen from the data that it is given.

import { clock, text } from "./words.js";

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const { dataset = {}, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

export function stateOf(dose, now = Date.now()) {
  if (dose.status !== "pending") return dose.status;
  if (dose.snoozed_until && Date.parse(dose.snoozed_until) > now) return "snoozed";
  return Date.parse(dose.due_at) <= now ? "due" : "later";
}

const ACTIONS = {
  due: ["take", "snooze", "skip"],
  snoozed: ["take", "skip"],
  later: ["take", "skip"],
  missed: ["take", "skip"],
  taken: ["undo"],
  skipped: ["undo"],
};

function sentence(dose, state, zone) {
  if (state === "taken") return text("taken", { time: clock(dose.taken_at, zone) });
  if (state === "snoozed") return text("snoozed", { time: clock(dose.snoozed_until, zone) });
  return text(state);
}

let drawn = "";

/** Draws the day when it changed. The focus stays at the same dose. */
export function drawDay(doses, zone, act) {
  const states = doses.map((dose) => stateOf(dose));
  const now = JSON.stringify([document.documentElement.lang, states, doses]);
  if (now === drawn) return;
  drawn = now;
  const list = byId("doses");
  const focused = document.activeElement.closest?.("#doses > li")?.dataset.dose;
  list.replaceChildren(...doses.map((dose, index) => row(dose, states[index], zone, act)));
  if (focused) list.querySelector(`[data-dose="${focused}"] button`)?.focus();
  const done = states.filter((state) => state === "taken" || state === "skipped").length;
  byId("progress").textContent = doses.length ? text("progress", { done, all: doses.length }) : "";
  byId("no-doses").hidden = doses.length > 0;
}

export function forgetDay() {
  drawn = "";
  byId("doses").replaceChildren();
}

function row(dose, state, zone, act) {
  const time = clock(dose.due_at ?? dose.taken_at, zone);
  const dot = make("span", { className: "dot", ariaHidden: "true" });
  dot.style.setProperty("--dot", dose.medication.color_tag);
  return make(
    "li",
    { className: "dose", dataset: { dose: dose.id, state } },
    make("span", { className: "time", textContent: time }),
    dot,
    make("span", { className: "name", textContent: dose.medication.name }),
    make("span", { className: "state", textContent: dose.unsent ? text("unsent") : sentence(dose, state, zone) }),
    make("span", { className: "amount", textContent: dose.medication.dosage }),
    make(
      "span",
      { className: "actions" },
      ...ACTIONS[state].map((action) => button(action, dose.medication.name, time, () => act([dose.id], action))),
    ),
  );
}

function button(action, medicine, time, onclick) {
  const ariaLabel = medicine ? text("label", { action: text(action), medicine, time }) : text(action);
  return make("button", { type: "button", className: action, textContent: text(action), ariaLabel, onclick });
}

/** Adds only new pushes, so that a screen reader reads each of them once. */
export function drawPushes(pushes, zone, { act, open, dismiss }) {
  const list = byId("push-list");
  for (const item of [...list.children]) {
    if (!pushes.some((push) => push.id === item.dataset.push)) item.remove();
  }
  for (const [index, push] of pushes.entries()) {
    const there = [...list.children].some((item) => item.dataset.push === push.id);
    if (there) continue;
    list.insertBefore(card(push, zone, { act, open, dismiss }), list.children[index] ?? null);
    byId("phone").scrollTo({ top: 0 });
  }
  byId("no-pushes").hidden = pushes.length > 0;
}

function card(push, zone, { act, open, dismiss }) {
  const actions = push.doses.length ? ["take", "snooze", "skip"] : [];
  return make(
    "li",
    { className: "push", dataset: { push: push.id, kind: push.kind } },
    make(
      "button",
      { type: "button", className: "said", onclick: () => open(push) },
      make("span", { className: "app", textContent: "MedTrack" }),
      make("span", { className: "at", textContent: clock(push.at, zone) }),
      make("strong", { textContent: push.title }),
      make("span", { className: "body", textContent: push.body }),
    ),
    make("button", {
      type: "button", className: "dismiss", ariaLabel: `${text("dismiss")}: ${push.title}`, textContent: "×",
      onclick: () => dismiss(push),
    }),
    make(
      "span",
      { className: "actions" },
      ...actions.map((action) => make("button", {
        type: "button", className: action, textContent: text(action), ariaLabel: `${text(action)}: ${push.title}`,
        onclick: () => { open(push); act(push.doses, action); },
      })),
    ),
  );
}

/** Scrolls to the dose of a push and highlights it for a moment. */
export function pointAt(doseId) {
  const item = byId("doses").querySelector(`[data-dose="${doseId}"]`);
  if (!item) return;
  item.scrollIntoView({ block: "center" });
  item.querySelector("button")?.focus({ preventScroll: true });
}
