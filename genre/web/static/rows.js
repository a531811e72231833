// Without this script no song of the list could be opened in full. The list is HTML in place of Gradio's `Dataframe`, since
// a row has a strip of sections, or a message over several columns.
//
// Opens a row of the batch: a click anywhere on it, or enter on its button, requests the song in full from the server. The
// content is replaced after every song, so the mark of the open row is set again each time.

let open = null;

function mark() {
  element.querySelectorAll("tr").forEach((row) => row.classList.remove("open"));
  element.querySelectorAll("[data-row]").forEach((button) => {
    const isOpen = button.dataset.row === open;
    button.closest("tr").classList.toggle("open", isOpen);
    button.setAttribute("aria-pressed", isOpen);
  });
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("tr")?.querySelector("[data-row]");
  if (!button) return;
  open = button.dataset.row;
  mark();
  trigger("click", { row: Number(open) });
  document.querySelector("#batch-song").scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    block: "start",
  });
});

watch("value", () => {
  if (!element.querySelector("[data-row]")) open = null; // the list was cleared
  mark();
});
