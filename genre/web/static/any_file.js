// Gradio's audio component accepts only files whose type begins with "audio", and browsers derive the type from the
// suffix. Only the decoder can tell whether a file holds audio, so the file dialog offers all files, and each is submitted
// with an audio type. A folder cannot be uploaded: the card then shows `props.folder`.

const INPUT = "#song input[type=file]";
const ANY_AUDIO = "audio/any";

const isAudio = ({ type }) => type.startsWith("audio/");

function asAudio(files) {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(isAudio(file) ? file : new File([file], file.name, { type: ANY_AUDIO }));
  return transfer.files;
}

// Handles events in the capture phase, before Gradio's own handlers. Gradio replaces its input element, so the handlers are
// attached to the document.
function capture(name, handle) {
  document.addEventListener(name, (event) => event.target.closest?.("#song") && handle(event), true);
}

capture("click", () => document.querySelector(INPUT)?.removeAttribute("accept"));

capture("change", ({ target }) => {
  if (target.matches(INPUT) && ![...target.files].every(isAudio)) target.files = asAudio(target.files);
});

capture("drop", (event) => {
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
  input.files = asAudio(files);
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
