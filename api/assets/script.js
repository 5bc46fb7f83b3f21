// Adds to pages what works better with a script. Without it, everything works by links and forms.

/** Sorts the rows of a table by the column of a header cell. */
function sort(header) {
  const table = header.closest("table");
  const index = [...header.parentElement.children].indexOf(header);
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => {
    const text = row.children[index]?.dataset.sort ?? row.children[index]?.textContent.trim() ?? "";
    const number = Number(text.replace(/[, %]/g, ""));
    return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
  };
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
    return ascending ? order : -order;
  });
  body.append(...rows);
}

for (const header of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "sort";
  if (header.querySelector("a")) {
    // A link cannot be inside a button.
    button.setAttribute("aria-label", `Sort by ${header.textContent.trim()}`);
    button.textContent = "\u2195";
  } else {
    button.append(...header.childNodes);
  }
  button.addEventListener("click", () => sort(header));
  header.append(button);
}

// The theme changes at once; the button is for browsers without scripts.
const theme = document.getElementById("theme");
document.getElementById("theme-apply")?.remove();
theme?.addEventListener("change", () => theme.form.requestSubmit());

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}
