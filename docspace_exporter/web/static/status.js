// Filters the rows as one types. A page that does not have every row asks the server, as the form does by itself.
const SUBMIT_DELAY = 400;
const form = document.querySelector(".filter");
const input = document.getElementById("filter");
const isPartial = "partial" in form.dataset;
let submission;

function filter() {
  const wanted = input.value.trim().toLowerCase();
  for (const section of document.querySelectorAll("section:has(table)")) {
    const rows = [...section.querySelectorAll("[data-search]")];
    for (const row of rows) row.hidden = !row.dataset.search.includes(wanted);
    const none = rows.every((row) => row.hidden);
    section.querySelector("table").hidden = none;
    section.querySelector(".none").hidden = !none;
  }
}

input.addEventListener("input", () => {
  clearTimeout(submission);
  if (isPartial) submission = setTimeout(() => form.requestSubmit(), SUBMIT_DELAY);
  else filter();
});
if (isPartial && input.value) {
  input.focus();
  input.setSelectionRange(input.value.length, input.value.length);
}
