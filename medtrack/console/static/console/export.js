// Shows how far an export has come. Without it the form downloads the same file.
"use strict";

const form = document.querySelector(".export-form");
const rows = Number(form.dataset.rows);
const [progress, failed] = [".export-progress", ".export-failed"].map((name) => form.querySelector(name));
const [bar, button] = ["progress", "button"].map((name) => form.querySelector(name));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  failed.hidden = true;
  show(0);
  progress.hidden = false;
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (response.ok) save(await collect(response.body.getReader()), nameIn(response));
    else form.submit(); // The page that answers says why.
  } catch {
    failed.hidden = false;
    progress.hidden = true;
  }
  button.disabled = false;
});

async function collect(reader) {
  const chunks = [];
  let lines = -1; // The first line names the columns.
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(chunks, { type: "text/csv" });
    chunks.push(value);
    for (const byte of value) if (byte === 10) lines += 1;
    show(Math.min(lines, rows));
  }
}

function show(done) {
  const number = new Intl.NumberFormat(document.documentElement.lang);
  bar.value = done;
  form.querySelector("output").textContent = `${number.format(done)} / ${number.format(rows)}`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function nameIn(response) {
  return /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition"))?.[1] ?? "patients.csv";
}
