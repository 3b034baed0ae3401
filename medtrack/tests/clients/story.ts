// Requests of a patient's day with the generated types: what does not compile here does not compile in an app.
import createClient from "openapi-fetch";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { components, paths } from "./schema.js";

type Problem = components["schemas"]["Problem"];
const api = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

function had<T>(answer: { data?: T; error?: Problem }): T {
  if (answer.data === undefined) throw new Error(`${answer.error?.type}: ${answer.error?.detail}`);
  return answer.data;
}

const email = `${randomUUID()}@example.com`;
const password = "seven quiet rivers";
const credentials = had(
  await api.POST("/api/v1/auth/signup", { body: { email, password, timezone: "Asia/Seoul", language: "en" } }),
);
let access = credentials.access;
api.use({
  onRequest: ({ request }) => request.headers.set("Authorization", `Bearer ${access}`),
});

const medication = had(await api.POST("/api/v1/medications", { body: { id: randomUUID(), name: "Metformin" } }));
for (const scheduled_time of ["23:58", "23:59"]) {
  const schedule = had(
    await api.POST("/api/v1/medications/{medication_id}/schedules", {
      params: { path: { medication_id: medication.id } },
      body: { scheduled_time, cycle_type: "weekly", cycle_value: { days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] } },
    }),
  );
  assert.equal(schedule.scheduled_time, scheduled_time);
}

const day = had(await api.GET("/api/v1/doses", {}));
const dose = day.results[0];
assert.ok(dose, "a dose is planned for today");
assert.equal(dose.medication.name, "Metformin");
const taken = had(
  await api.POST("/api/v1/doses/{dose_id}/take", {
    params: { path: { dose_id: dose.id } },
    body: { event_id: randomUUID(), quantity: "1.5" },
  }),
);
assert.equal(taken.status, "taken" satisfies components["schemas"]["DoseStatus"]);
assert.equal(taken.quantity, "1.5");

const progress = had(await api.GET("/api/v1/adherence/current", { params: { query: { period: "daily" } } }));
assert.equal(progress.taken, 1);
const device = had(await api.POST("/api/v1/devices", { body: { token: randomUUID(), platform: "ios" } }));
assert.equal(had(await api.GET("/api/v1/devices", {})).results[0]?.id, device.id);

const conflict = await api.POST("/api/v1/doses/{dose_id}/snooze", {
  params: { path: { dose_id: dose.id } },
  body: { minutes: 5 },
});
assert.equal(conflict.error?.type, "InvalidTransition" satisfies components["schemas"]["ProblemType"]);

const first = had(await api.GET("/api/v1/auth/sessions", {})).results[0];
assert.ok(first, "one session is open");
const second = had(
  await api.POST("/api/v1/auth/login", {
    body: { email, password, device_secret: credentials.device_secret, end_session: first.id },
  }),
);
assert.equal((await api.GET("/api/v1/me", {})).error?.type, "SessionEnded");
access = second.access;
assert.equal(had(await api.GET("/api/v1/me", {})).email, email);

assert.equal((await api.POST("/api/v1/auth/logout", {})).response.status, 204);
assert.equal((await api.GET("/api/v1/me", {})).error?.type, "SessionEnded");
console.log("TypeScript: all requests were answered as expected");
