// Texts in the patient's language, and times in the patient's zone.

const { texts } = JSON.parse(document.getElementById("config").textContent);

export function speak(language) {
  document.documentElement.lang = language in texts ? language : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text(element.dataset.text);
  }
  document.title = `MedTrack · ${text("title")}`;
}

export function text(name, values = {}) {
  const said = texts[document.documentElement.lang] ?? texts.en;
  return said[name].replace(/\{(\w+)\}/g, (_whole, key) => values[key]);
}

const shown = (instant, zone, options) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: zone, ...options }).format(instant);

export const clock = (instant, zone) =>
  shown(new Date(instant), zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const longDate = (instant, zone) =>
  shown(new Date(instant), zone, { weekday: "long", month: "long", day: "numeric" });

/** The patient's local date and time in the format of the API. */
export function written(instant, zone) {
  const date = new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" }).format(instant);
  const time = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "short" }).format(instant);
  return { date, time };
}
