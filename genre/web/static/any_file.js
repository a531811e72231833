// Gradio's player takes only files whose type begins with "audio", and browsers go by the suffix. What holds sound is for
// the decoder to say, so the file dialog offers all files, and each is handed over as sound. A folder cannot be sent; it
// is answered here. `props.folder` is what the card then shows.

const INPUT = "#song input[type=file]";
const ANY_SOUND = "audio/any";

const isSound = ({ type }) => type.startsWith("audio/");

function asSound(files) {
  const parcel = new DataTransfer();
  for (const file of files) parcel.items.add(isSound(file) ? file : new File([file], file.name, { type: ANY_SOUND }));
  return parcel.files;
}

// All caught on its way down, before Gradio's field sees it. The field comes and goes, so all listening is done here.
function listen(name, act) {
  document.addEventListener(name, (event) => event.target.closest?.("#song") && act(event), true);
}

listen("click", () => document.querySelector(INPUT)?.removeAttribute("accept"));

listen("change", ({ target }) => {
  if (target.matches(INPUT) && ![...target.files].every(isSound)) target.files = asSound(target.files);
});

listen("drop", (event) => {
  const input = document.querySelector(INPUT);
  const { items, files } = event.dataTransfer;
  const isFolder = [...items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  if (!input || !(isFolder || files.length)) return;
  event.preventDefault();
  event.stopPropagation();
  if (isFolder) {
    props.value = props.folder;
    return;
  }
  input.files = asSound(files);
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
