// Filters files before Gradio's upload field and replaces a folder, dropped or chosen, by the files in it. Files that are
// no songs are not uploaded but listed below the field: in a folder those without a suffix of `props.suffixes`; of files
// that were chosen one by one only those that the browser knows to be something else, since the decoder knows more.
// `props.zone` and `props.field` are the ids of the tab and of its upload field,
// `props.most` is the number of songs that the server accepts at a time, and `props.left_out` holds sentences.

const NAMED = 3; // files that are left out

const zone = element.closest(`#${props.zone}`);
const picker = element.querySelector("input");
const statusLine = element.querySelector("[role=status]");
const FIELD = `#${props.field} input[type=file]`;
let submitting = false; // the change event then comes from this script

const last = (name) => name.split("/").pop();
const isHidden = ({ name }) => name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");
const hasSuffix = ({ name }) => props.suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
const isSong = (file) => hasSuffix(file) && !isHidden(file);
const mayBeAudio = (file) => (hasSuffix(file) || /^(audio|video|$)/.test(file.type)) && !isHidden(file);

function submitFiles(files) {
  submit(files, files.filter(mayBeAudio));
}

function submitFolder(files) {
  files.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  const visible = files.filter((file) => !isHidden(file));
  submit(visible, visible.filter(isSong));
}

// Gradio's field, which may not be there yet while the page is being drawn.
async function uploadField() {
  for (;;) {
    const field = zone.querySelector(FIELD);
    if (field) return field;
    await new Promise((done) => setTimeout(done, 50));
  }
}

// Submits songs as if they had been chosen in Gradio's field, and lists the other files. One song more than the server
// accepts tells it that there were too many.
async function submit(files, songs) {
  const submitted = new Set(songs);
  const others = files.filter((file) => !submitted.has(file));
  statusLine.textContent = others.length || !files.length ? sentence(others.map(({ name }) => last(name))) : "";
  const field = await uploadField();
  const transfer = new DataTransfer();
  songs.slice(0, props.most + 1).forEach((file) => transfer.items.add(file));
  field.files = transfer.files;
  if (!songs.length) return;
  submitting = true;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  submitting = false;
}

function sentence(names) {
  const { none, one, many, more } = props.left_out;
  const first = names.slice(0, NAMED).join(", ");
  const listed = names.length > NAMED ? more.replace("{names}", () => first).replace("{n}", names.length - NAMED) : first;
  return names.length ? `${names.length > 1 ? many.replace("{n}", names.length) : one}${listed}.` : none;
}

const named = (file, path) => new File([file], path.replace(/^\//, ""), { type: file.type });

// All files of a dropped entry, recursively. A reader returns at most 100 entries at a time.
async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [named(file, entry.fullPath)];
  }
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return inside;
    for (const one of some) inside.push(...(await filesOf(one)));
  }
}

element.querySelector("button").addEventListener("click", () => picker.click());

picker.addEventListener("change", () => {
  submitFolder([...picker.files].map((file) => named(file, file.webkitRelativePath || file.name)));
  picker.value = "";
});

// Both in the capture phase, before Gradio's own handlers.
zone.addEventListener(
  "change",
  (event) => {
    if (submitting || !event.target.matches(FIELD) || !event.target.files.length) return;
    event.stopPropagation();
    submitFiles([...event.target.files]);
  },
  true,
);

zone.addEventListener(
  "drop",
  async (event) => {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length || !event.target.closest(`#${props.field}`)) return;
    event.preventDefault();
    event.stopPropagation();
    const files = (await Promise.all(entries.map(filesOf))).flat();
    if (entries.every(({ isFile }) => isFile)) submitFiles(files);
    else submitFolder(files);
  },
  true,
);
