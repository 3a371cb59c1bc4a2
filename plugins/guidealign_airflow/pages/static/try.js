// Retrieval first, at once; the two answers come when the model has them.
"use strict";

const form = document.getElementById("try");
const found = document.getElementById("found");
const WHY = {
  "below-threshold": "nothing is near enough: the model would be asked as it is",
  "no-user-text": "there is nothing to look for",
  budget: "what was found does not fit the budget of tokens",
};

async function find() {
  found.setAttribute("aria-busy", "true");
  try {
    const told = await send("/try/find", { text: form.text.value });
    const head = element(
      "p",
      told.guidelines.length
        ? `${told.guidelines.length} found under release ${told.release} (library ${told.library_version}, retriever ${told.retriever_version}).`
        : `None: ${WHY[told.reason] ?? told.reason ?? "nothing fits"}.`,
      "soft",
    );
    if (told.status === "monitored") {
      head.append(" The gateway finds and records them and sends the request unchanged: the guidance policy is not proven for this model.");
    }
    const list = element("ol");
    for (const g of told.guidelines) {
      const item = element("li");
      const link = element("a", g.title);
      link.href = `${ROOT}/guidelines/${g.id}`;
      item.append(link, element("span", ` ${g.score.toFixed(3)} · ${g.category.replaceAll("_", " ")}`, "soft small"), element("div", g.text));
      list.append(item);
    }
    found.replaceChildren(head, list);
  } catch (error) {
    found.replaceChildren(element("p", error.message, "error"));
  }
  found.removeAttribute("aria-busy");
}

async function answer(guided) {
  const box = document.getElementById(guided ? "guided" : "unguided");
  const began = performance.now();
  box.setAttribute("aria-busy", "true");
  const clock = setInterval(() => {
    box.textContent = `Writing, ${Math.round((performance.now() - began) / 1000)} s`;
  }, 1000);
  try {
    const told = await send("/try/answer", { text: form.text.value, guided });
    clearInterval(clock);
    box.textContent = told.text + (told.cut ? " …" : "");
    box.append(element("p", `${told.seconds} s, ${told.tokens ?? "?"} tokens${told.cut ? ", cut at the limit" : ""}`, "soft small"));
  } catch (error) {
    clearInterval(clock);
    box.replaceChildren(element("p", error.message, "error"));
  }
  box.removeAttribute("aria-busy");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  find();
});
document.getElementById("answer")?.addEventListener("click", async (event) => {
  if (!form.reportValidity()) return;
  event.target.disabled = true;
  document.getElementById("answers").hidden = false;
  await Promise.all([find(), answer(true), answer(false)]);
  event.target.disabled = false;
});
