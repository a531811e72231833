// Filters files before Gradio's upload field and replaces a folder, dropped or chosen, by the files in it. Files that are
// no songs are not uploaded but listed below the field: in a folder those without a suffix of `props.suffixes`; of files
// that were chosen one by one only those that the browser knows to be something else, since the decoder knows more. Hidden
// files, those in folders of the system, and what a cloud has in the place of a song (`props.hidden`, `props.system` and
// `props.placeholder`, as in genre/audio/folders.py) are left out of both.
// `props.zone` and `props.field` are the ids of the tab and of its upload field, `props.most` is the number of songs that
// the server accepts at a time, `props.largest` the bytes of one, `props.group` the number that are uploaded at once, and
// `props.left_out` holds sentences.

const NAMED = 3; // files that are left out
const GROUP_BYTES = 2e7; // of a group of more than one file
const POLL_MS = 50;
const END_POLLS = 200;
const FREE_POLLS = 4; // in a row, after which Gradio's field is taken to be ready for more files

const zone = element.closest(`#${props.zone}`);
const picker = element.querySelector("input");
const statusLine = element.querySelector("[role=status]");
const ENDS = ".ends-uploads"; // buttons that end it: "Stop" and "Start over"
const FIELD = `#${props.field} input[type=file]`;
let submitting = false; // the change event then comes from this script
let submitted = Promise.resolve(); // the last submission; the next one waits for it
let pending = 0; // submissions that are not finished
let sentences = []; // on files that were left out of them
let ended = { by: null }; // a new object whenever the visitor ends it, with the selector of the button

const last = (name) => name.split("/").pop();
const whole = (pattern) => new RegExp(`^(?:${pattern})$`, "is");
const [hidden, system, placeholder] = [props.hidden, props.system, props.placeholder].map(whole);
const hasSuffix = ({ name }) => props.suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
const mayBeAudio = (file) => hasSuffix(file) || /^(audio|video|$)/.test(file.type);

// The reason why a file is left out, empty for a song. A folder that was chosen may itself be hidden.
function reason({ name }, isSong) {
  const parts = name.split("/");
  if (parts.some((part) => system.test(part))) return "system";
  if (placeholder.test(last(name))) return "cloud";
  if (parts.slice(parts.length > 1 ? 1 : 0).some((part) => hidden.test(part))) return "hidden";
  return isSong ? "" : "other";
}

function submitFiles(files) {
  submit(files, mayBeAudio);
}

function submitFolder(files) {
  files.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  submit(files, hasSuffix);
}

// Gradio's field once it is ready: it is not there while the page is being drawn or files are uploaded, and it does not
// take files while it lists those of the upload before.
async function uploadField() {
  for (let free = 0; free < FREE_POLLS; ) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    free = zone.querySelector(FIELD) && !zone.querySelector(`#${props.field} .file-preview`) ? free + 1 : 0;
  }
  return zone.querySelector(FIELD);
}

// Submits songs after those submitted before, and lists the other files.
function submit(files, isSong) {
  const words = props.left_out;
  const [songs, others, hiddenOnes, ofSystem, inCloud] = ["", "other", "hidden", "system", "cloud"].map((name) =>
    files.filter((file) => reason(file, isSong(file)) === name),
  );
  const fitting = songs.filter(({ size }) => size <= props.largest);
  const tooLarge = songs.filter(({ size }) => size > props.largest);
  if (!pending) sentences = [];
  sentences.push(
    files.length ? listed(others, words.one, words.many) : words.none,
    listed(hiddenOnes, words.hidden, words.hiddens),
    listed(ofSystem, words.system, words.systems),
    ...Object.entries(props.clouds).map(([suffix, name]) => {
      const missing = inCloud.filter((file) => file.name.toLowerCase().endsWith(`.${suffix}`));
      return listed(missing, words.cloud.replace("{cloud}", name), words.clouds.replace("{cloud}", name));
    }),
    listed(tooLarge, words.large, words.larges),
  );
  showStatus();
  if (!fitting.length) return;
  pending++;
  submitted = submitted.then(() => send(fitting)).finally(() => pending--);
}

const showStatus = (progress = "") => (statusLine.textContent = [progress, ...sentences].filter(Boolean).join(" "));

// Submits songs group by group, until the visitor ends it. One more than the server accepts tells it that there were too
// many.
async function send(songs) {
  const taken = songs.slice(0, props.most + 1);
  const groups = grouped(taken);
  const before = ended;
  let done = 0;
  for (const group of groups) {
    const field = await uploadField();
    if (ended !== before) break;
    if (groups.length > 1) {
      const { progress } = props.left_out;
      showStatus(progress.replace("{n}", done).replace("{all}", taken.length));
    }
    choose(field, group);
    done += group.length;
  }
  await uploadField();
  showStatus();
  if (ended !== before && done) await endAgain();
}

// Songs that were on their way when the visitor ended it have been added meanwhile.
async function endAgain() {
  zone.querySelector(`${ENDS}.stop`)?.click();
  if (ended.by === `${ENDS}.stop`) return;
  for (let poll = 0; poll < END_POLLS; poll++) {
    const button = zone.querySelector(ended.by);
    if (button && !button.disabled) {
      button.click();
      return;
    }
    await new Promise((done) => setTimeout(done, POLL_MS)); // "Start over" is disabled until the work has stopped
  }
}

// Without `props.group` all songs are one group, as for a folder whose sub-folders are genres.
function grouped(songs) {
  if (!props.group) return [songs];
  const groups = [];
  let bytes = 0;
  for (const song of songs) {
    bytes += song.size;
    const group = groups[groups.length - 1];
    if (group && group.length < props.group && bytes <= GROUP_BYTES) group.push(song);
    else {
      groups.push([song]);
      bytes = song.size;
    }
  }
  return groups;
}

// As if the songs had been chosen in Gradio's field.
function choose(field, songs) {
  const transfer = new DataTransfer();
  songs.forEach((file) => transfer.items.add(file));
  field.files = transfer.files;
  submitting = true;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  submitting = false;
}

// Events of this script's own clicks are not trusted.
zone.addEventListener("click", ({ target, isTrusted }) => {
  const button = target.closest(ENDS);
  if (button && isTrusted) ended = { by: button.matches(".stop") ? `${ENDS}.stop` : `${ENDS}:not(.stop)` };
});

// The names of files that are left out, after the words for one or many; empty for none.
function listed(files, one, many) {
  const names = files.map(({ name }) => last(name));
  const first = names.slice(0, NAMED).join(", ");
  const more = props.left_out.more.replace("{names}", () => first).replace("{n}", names.length - NAMED);
  const words = names.length > 1 ? many.replace("{n}", names.length) : one;
  return names.length ? `${words}${names.length > NAMED ? more : first}.` : "";
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
    const files = [...event.target.files];
    event.target.value = "";
    submitFiles(files);
  },
  true,
);

zone.addEventListener(
  "drop",
  async (event) => {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return;
    event.preventDefault();
    event.stopPropagation();
    const files = (await Promise.all(entries.map(filesOf))).flat();
    if (entries.every(({ isFile }) => isFile)) submitFiles(files);
    else submitFolder(files);
  },
  true,
);
