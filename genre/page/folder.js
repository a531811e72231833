// A folder, dropped or chosen, as the files in it: Gradio's own field takes files only. What is no song by its name stays
// with the visitor. `props.suffixes` are those of songs, and `props.most` is how many are taken at a time.

const zone = element.closest("#several");
const picker = element.querySelector("input");
const field = () => zone.querySelector("#songs-drop input[type=file]");

const isSong = ({ name }) =>
  !name.split("/").pop().startsWith(".") && props.suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));

// Hands files over as if they had been chosen in Gradio's field. One more than are taken tells the server that there were
// too many; where none is a song, one file tells it that.
function pass(files) {
  files.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  const songs = files.filter(isSong);
  const parcel = new DataTransfer();
  (songs.length ? songs.slice(0, props.most + 1) : files.slice(0, 1)).forEach((file) => parcel.items.add(file));
  if (!parcel.files.length) return;
  field().files = parcel.files;
  field().dispatchEvent(new Event("change", { bubbles: true }));
}

const named = (file, path) => new File([file], path.replace(/^\//, ""), { type: file.type });

// The files of a dropped entry, however deep they lie. A reader hands over a hundred entries at a time.
async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [named(file, entry.fullPath)];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const one of some) found.push(...(await filesOf(one)));
  }
}

element.querySelector("button").addEventListener("click", () => picker.click());

picker.addEventListener("change", () => {
  pass([...picker.files].map((file) => named(file, file.webkitRelativePath || file.name)));
  picker.value = "";
});

// Caught on its way down, before Gradio's field sees it.
zone.addEventListener(
  "drop",
  async (event) => {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length || !event.target.closest("#songs-drop")) return;
    event.preventDefault();
    event.stopPropagation();
    pass((await Promise.all(entries.map(filesOf))).flat());
  },
  true,
);
