// What is better with JavaScript: choices show at once, and a folded stretch opens in its place.
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
