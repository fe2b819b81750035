// Filters the rows as one types; without it the form asks the server.
const input = document.getElementById("filter");
input.addEventListener("input", () => {
  const wanted = input.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("tbody tr")) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
});
