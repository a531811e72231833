// Gradio's player takes only files whose type begins with "audio". The sound track of a film is as good: films are
// offered by the file dialog, and handed over as sound.

const INPUT = "#song input[type=file]";

const isFilm = ({ type }) => type.startsWith("video/");

function asSound(files) {
  const parcel = new DataTransfer();
  for (const file of files) parcel.items.add(new File([file], file.name, { type: file.type.replace("video", "audio") }));
  return parcel.files;
}

// All caught on its way down, before Gradio's field sees it. The field comes and goes, so all listening is done here.
function listen(name, act) {
  document.addEventListener(name, (event) => event.target.closest?.("#song") && act(event), true);
}

listen("click", () => document.querySelector(INPUT)?.setAttribute("accept", "audio/*,video/*"));

listen("change", ({ target }) => {
  if (target.matches(INPUT) && [...target.files].some(isFilm)) target.files = asSound(target.files);
});

listen("drop", (event) => {
  const input = document.querySelector(INPUT);
  if (!input || ![...event.dataTransfer.files].some(isFilm)) return;
  event.preventDefault();
  event.stopPropagation();
  input.files = asSound(event.dataTransfer.files);
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
