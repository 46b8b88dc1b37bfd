// What is better with JavaScript: choices show at once, a folded stretch opens in its place, and
// a chart tells the figures under the pointer, or one after the other by the arrow keys.
"use strict";

for (const select of document.querySelectorAll("form.filters select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

const rows = document.getElementById("rows");
if (rows) rows.addEventListener("click", async (event) => {
  const link = event.target.closest("a.unfold");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = [...page.querySelectorAll("#rows > tr")];
    // A stretch of several pages is a page of its own.
    if (!found.length || page.querySelector(".pages")) throw new Error("too long");
    const folded = link.closest("tr");
    folded.after(...found);
    link.remove();
    found[0].querySelector("a.span").focus();
  } catch {
    location.assign(link.href);
  }
});

for (const figure of document.querySelectorAll("figure.chart")) {
  const told = document.createElement("output");
  figure.append(told);
  for (const chart of figure.querySelectorAll("svg")) {
    // A drawing holds the words of each of its marks; what it is as a whole stays its name.
    const marks = [...chart.querySelectorAll("[data-said]")];
    if (!marks.length) continue;
    let at = -1;
    const here = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    here.setAttribute("class", "here");
    const middle = (mark) => { const box = mark.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };
    marks.sort((a, b) => middle(a)[0] - middle(b)[0]);
    const show = (next) => {
      at = next;
      told.textContent = at < 0 ? "" : marks[at].dataset.said;
      if (at < 0) return here.remove();
      const frame = figure.getBoundingClientRect(), box = marks[at].getBoundingClientRect();
      const scale = chart.viewBox.baseVal.width / chart.getBoundingClientRect().width, from = chart.getBoundingClientRect();
      here.setAttribute("x", (box.x - from.x - 3) * scale);
      here.setAttribute("y", (box.y - from.y - 3) * scale);
      here.setAttribute("width", (box.width + 6) * scale);
      here.setAttribute("height", (box.height + 6) * scale);
      chart.append(here);
      const left = middle(marks[at])[0] - frame.x - told.offsetWidth / 2;
      told.style.left = `${Math.max(0, Math.min(left, frame.width - told.offsetWidth))}px`;
      told.style.top = `${box.y - frame.y - told.offsetHeight - 10}px`;
    };
    chart.tabIndex = 0;
    chart.addEventListener("pointermove", (event) => {
      const away = marks.map((mark) => Math.abs(middle(mark)[0] - event.clientX));
      show(away.indexOf(Math.min(...away)));
    });
    chart.addEventListener("pointerleave", () => show(-1));
    chart.addEventListener("blur", () => show(-1));
    chart.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1 };
      if (event.key === "Escape") show(-1);
      else if (event.key === "Home" || event.key === "End") show(event.key === "Home" ? 0 : marks.length - 1);
      else if (event.key in steps) show(Math.max(0, Math.min(at < 0 ? 0 : at + steps[event.key], marks.length - 1)));
      else return;
      if (event.key !== "Escape") event.preventDefault();
    });
  }
}
