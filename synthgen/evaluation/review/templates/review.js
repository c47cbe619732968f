"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const element = (id) => document.getElementById(id);
const total = content.items.length;
const store = "synthgen-review-" + content.review;
let state = { reviewer: "", answers: content.items.map(() => ({ origin: null, label: null, seconds: 0 })) };
let current = -1; // -1: the introduction, total: the end
let shownAt = 0;

// Answers survive a closed tab where the browser keeps data for files; elsewhere nothing is lost
// but that.
try {
  const kept = JSON.parse(localStorage.getItem(store));
  if (kept && Array.isArray(kept.answers) && kept.answers.length === total) state = kept;
} catch (error) { /* no storage, or not ours */ }

function keep() {
  try { localStorage.setItem(store, JSON.stringify(state)); } catch (error) { /* no storage */ }
}

function done(answer) { return answer.origin !== null && answer.label !== null; }

function spend() {
  if (current >= 0 && current < total && shownAt) {
    state.answers[current].seconds += (performance.now() - shownAt) / 1000;
  }
  shownAt = performance.now();
}

function show(position) {
  spend();
  current = position;
  element("intro").hidden = position !== -1;
  element("question").hidden = position < 0 || position >= total;
  element("end").hidden = position !== total;
  const judged = state.answers.filter(done).length;
  element("bar").value = judged;
  element("progress").textContent =
    position >= 0 && position < total ? `Image ${position + 1} of ${total}` : `${judged} of ${total} judged`;
  if (position >= 0 && position < total) showQuestion();
  if (position === total) {
    const left = total - judged;
    element("summary").textContent = left
      ? `${left} of ${total} images are not judged yet. You can save now all the same.`
      : `All ${total} images are judged. Thank you.`;
    element("save").focus();
  }
}

function showQuestion() {
  const item = content.items[current];
  element("image").src = item.image;
  element("claim").textContent = `Label: ${item.class}`;
  for (const part of ["origin", "label"]) {
    for (const button of element(part).querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(state.answers[current][part] === button.dataset.answer));
    }
  }
  element("back").disabled = current === 0;
  element("next").disabled = !done(state.answers[current]);
}

function answer(part, value) {
  state.answers[current][part] = value;
  showQuestion();
  keep();
}

function next() { if (done(state.answers[current])) { show(current + 1); keep(); } }

function start() {
  state.reviewer = element("reviewer").value;
  const open = state.answers.findIndex((one) => !done(one));
  show(open < 0 ? total : open);
}

function save() {
  const saved = {
    format: content.format,
    review: content.review,
    reviewer: state.reviewer,
    answers: state.answers.map((one, position) => ({
      item: position + 1, origin: one.origin, label: one.label, seconds: Math.round(one.seconds * 10) / 10,
    })),
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(saved, null, 1)], { type: "application/json" }));
  link.download = `answers-${content.review}.json`;
  link.click();
}

const KEYS = { r: ["origin", "real"], s: ["origin", "synthetic"], y: ["label", "right"], n: ["label", "wrong"] };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (current === -1) {
    if (event.key === "Enter") { event.preventDefault(); start(); }
    return;
  }
  if (current >= total) return;
  const choice = KEYS[event.key.toLowerCase()];
  if (choice) { event.preventDefault(); answer(...choice); }
  else if (event.key === "ArrowRight") next();
  else if (event.key === "ArrowLeft" && current > 0) show(current - 1);
  // Enter on a focused answer presses that button, as everywhere.
  else if (event.key === "Enter" && !event.target.closest("button")) { event.preventDefault(); next(); }
});

for (const part of ["origin", "label"]) {
  for (const button of element(part).querySelectorAll("button")) {
    // The focus leaves the button, so that the next Enter goes on instead of pressing it again.
    button.addEventListener("click", () => { answer(part, button.dataset.answer); button.blur(); });
  }
}
element("start").addEventListener("click", start);
element("next").addEventListener("click", () => { next(); element("next").blur(); });
element("back").addEventListener("click", () => { if (current > 0) show(current - 1); });
element("review-again").addEventListener("click", () => show(total - 1));
element("save").addEventListener("click", save);
element("reviewer").value = state.reviewer;
show(-1);
