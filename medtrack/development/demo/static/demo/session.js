// Sends requests to the API as the mobile client does. The state belongs to the tab: every tab is another phone.

const STORED = "medtrack-phone";
const SPARE_MS = 20_000;

/** The API refused the request. The message is the problem's detail. */
export class Problem extends Error {
  constructor(said) {
    super(said.errors?.[0]?.detail || said.detail);
    this.status = said.status;
    this.type = said.type;
  }
}

/** There was no answer: the phone is offline, or the server does not run. */
export class Unreachable extends Error {}

/** The session has ended; the user must sign in again. */
export class SignedOut extends Error {}

export const memory = {
  read: () => JSON.parse(sessionStorage.getItem(STORED) || "null"),
  write: (known) => sessionStorage.setItem(STORED, JSON.stringify(known)),
  /** Does nothing after the user has signed out: an answer may arrive later than that. */
  change: (changes) => { if (memory.read()) memory.write({ ...memory.read(), ...changes }); },
  forget: () => sessionStorage.removeItem(STORED),
};

async function ask(method, path, { body, access, language } = {}) {
  const headers = { "Accept-Language": language || document.documentElement.lang };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (access) headers.Authorization = `Bearer ${access}`;
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Unreachable();
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({ status: answer.status, type: "", detail: "" }));
  if (!answer.ok) throw new Problem({ ...said, status: answer.status });
  return said;
}

export async function signIn(email, password) {
  const secret = localStorage.getItem(secretOf(email)) || "";
  const body = { email, password, device_name: "Demo phone", device_secret: secret };
  const said = await ask("POST", "auth/login", { body });
  localStorage.setItem(secretOf(email), said.device_secret);
  const token = `web-${crypto.randomUUID()}`;
  memory.write({ token, deviceId: null, lastPush: 0, pushes: [], unsent: [], ...kept(said) });
  return said.user;
}

/** Is kept after signing out, because the account still knows the phone. */
const secretOf = (email) => `medtrack-device-secret-${email.toLowerCase()}`;

const kept = ({ user, access, refresh, expires_in }) => ({
  user, access, refresh, expiresAt: Date.now() + expires_in * 1000,
});

let refreshing = null;

/** A refresh token works once, so all requests that need a new pair wait for the same refresh. */
function refreshed() {
  refreshing ??= refresh().finally(() => { refreshing = null; });
  return refreshing;
}

async function refresh() {
  const { refresh, access } = memory.read();
  try {
    memory.change(kept(await ask("POST", "auth/refresh", { body: { refresh }, access })));
  } catch (problem) {
    throw problem.status === 401 ? new SignedOut() : problem;
  }
}

/** Sends a request of the signed-in user. Refreshes the access token before it expires, and when it is refused. */
export async function api(method, path, body) {
  if (!memory.read()) throw new SignedOut();
  if (memory.read().expiresAt - SPARE_MS < Date.now()) await refreshed();
  try {
    return await ask(method, path, { body, access: memory.read().access });
  } catch (problem) {
    if (problem.status !== 401) throw problem;
  }
  await refreshed();
  try {
    return await ask(method, path, { body, access: memory.read().access });
  } catch (problem) {
    throw problem.status === 401 ? new SignedOut() : problem;
  }
}
