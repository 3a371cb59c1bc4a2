// What all pages share: asking the server, telling the person, asking for a reason.
"use strict";

const ROOT = document.body.dataset.root;

async function send(path, body) {
  let answer;
  try {
    answer = await fetch(ROOT + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Guidealign-Page": "1" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("Airflow does not answer: nothing is known to have changed. Reload the page.");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.detail || `The server answered ${answer.status}.`);
  return told;
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function toast(message, { error = false, action = null } = {}) {
  const box = element("div", undefined, "card");
  box.append(element("span", message, error ? "error" : ""));
  if (action) {
    const button = element("button", action.name);
    button.addEventListener("click", () => {
      box.remove();
      action.run();
    });
    const row = element("div", undefined, "actions");
    row.append(button);
    box.append(row);
  }
  document.getElementById("toast").replaceChildren(box);
  setTimeout(() => box.remove(), error ? 15000 : 9000);
}

// Resolves with {reason, ...fields}, or null when the person thinks better of it.
function askReason(title, fields = []) {
  const dialog = document.getElementById("decision");
  const form = dialog.querySelector("form");
  const extra = document.getElementById("decision-extra");
  const reason = document.getElementById("decision-reason");
  document.getElementById("decision-title").textContent = title;
  document.getElementById("decision-error").textContent = "";
  extra.replaceChildren();
  for (const field of fields) {
    const label = element("label", field.label);
    label.htmlFor = `decision-${field.name}`;
    const input = element(field.rows ? "textarea" : "input");
    input.id = label.htmlFor;
    input.name = field.name;
    input.required = true;
    input.value = field.value ?? "";
    if (field.rows) input.rows = field.rows;
    if (field.type) input.type = field.type;
    extra.append(label, input);
  }
  reason.value = "";
  return new Promise((resolve) => {
    const finish = (value) => {
      form.onsubmit = null;
      dialog.onclose = null;
      if (dialog.open) dialog.close();
      resolve(value);
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      if (!values.reason.trim()) {
        document.getElementById("decision-error").textContent = "A reason is needed.";
        return;
      }
      finish(values);
    };
    dialog.querySelector("[data-cancel]").onclick = () => finish(null);
    dialog.onclose = () => finish(null);
    dialog.showModal();
    (fields.length ? extra.querySelector("input, textarea") : reason).focus();
  });
}

async function change(button, path, body) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    const told = await send(path, body);
    toast(told.message);
    setTimeout(() => location.reload(), 1200);
  } catch (error) {
    toast(error.message, { error: true });
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

for (const button of document.querySelectorAll("[data-change]")) {
  button.addEventListener("click", async () => {
    const given = await askReason(button.dataset.title);
    if (!given) return;
    const body = { action: button.dataset.change, reason: given.reason };
    if (button.dataset.other) body.other_id = Number(button.dataset.other);
    await change(button, location.pathname.slice(ROOT.length), body);
  });
}

// What moves a model: where it is asked for and about which one, the button says.
for (const button of document.querySelectorAll("[data-post]")) {
  button.addEventListener("click", async () => {
    const given = await askReason(button.dataset.title);
    if (!given) return;
    const body = { ...JSON.parse(button.dataset.body), reason: given.reason };
    await change(button, button.dataset.post, body);
  });
}
