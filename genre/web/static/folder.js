// Files on their way into Gradio's field, which takes files only: a folder, dropped or chosen, becomes the files in it.
// What is no song stays with the visitor and is named under the field: by its suffix in a folder; of files that were
// chosen one by one only what the browser knows to be something else, since the decoder knows better.
// `props.suffixes` are those of songs, `props.most` is how many are taken at a time, and `props.left_out` holds sentences.

const NAMED = 3; // of the files that are left out

const zone = element.closest("#several");
const picker = element.querySelector("input");
const said = element.querySelector("[role=status]");
const FIELD = "#songs-drop input[type=file]";
let handing = false; // files to Gradio's field, whose event is then not caught

const last = (name) => name.split("/").pop();
const isHidden = ({ name }) => name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");
const hasSuffix = ({ name }) => props.suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
const isSong = (file) => hasSuffix(file) && !isHidden(file);
const maySound = (file) => (hasSuffix(file) || /^(audio|video|$)/.test(file.type)) && !isHidden(file);

function chosen(files) {
  hand(files, files.filter(maySound));
}

function found(files) {
  files.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  const seen = files.filter((file) => !isHidden(file));
  hand(seen, seen.filter(isSong));
}

// Hands songs over as if they had been chosen in Gradio's field. One more than are taken tells the server that there were
// too many.
function hand(files, songs) {
  const taken = new Set(songs);
  const others = files.filter((file) => !taken.has(file));
  said.textContent = others.length || !files.length ? sentence(others.map(({ name }) => last(name))) : "";
  const field = zone.querySelector(FIELD);
  const parcel = new DataTransfer();
  songs.slice(0, props.most + 1).forEach((file) => parcel.items.add(file));
  field.files = parcel.files;
  if (!songs.length) return;
  handing = true;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  handing = false;
}

function sentence(names) {
  const { none, one, several, more } = props.left_out;
  const first = names.slice(0, NAMED).join(", ");
  const listed = names.length > NAMED ? more.replace("{names}", () => first).replace("{n}", names.length - NAMED) : first;
  return names.length ? `${names.length > 1 ? several.replace("{n}", names.length) : one}${listed}.` : none;
}

const named = (file, path) => new File([file], path.replace(/^\//, ""), { type: file.type });

// The files of a dropped entry, however deep they lie. A reader hands over a hundred entries at a time.
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
  found([...picker.files].map((file) => named(file, file.webkitRelativePath || file.name)));
  picker.value = "";
});

// Both caught on their way down, before Gradio's field sees them.
zone.addEventListener(
  "change",
  (event) => {
    if (handing || !event.target.matches(FIELD) || !event.target.files.length) return;
    event.stopPropagation();
    chosen([...event.target.files]);
  },
  true,
);

zone.addEventListener(
  "drop",
  async (event) => {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length || !event.target.closest("#songs-drop")) return;
    event.preventDefault();
    event.stopPropagation();
    const files = (await Promise.all(entries.map(filesOf))).flat();
    if (entries.every(({ isFile }) => isFile)) chosen(files);
    else found(files);
  },
  true,
);
