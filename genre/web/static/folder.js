// In place of Gradio's `File(file_count="directory")`. Without this script a visitor would miss the first results while
// the other songs are still uploaded, the songs that arrive after another could not be sent (it is tried again, and then a
// row), an end to uploads by "Stop", files and folders in the same zone, by drop or by button, the folders in the names
// (the genres of Teach), and the sentences on what was left out; all files of a folder would be uploaded, pictures, too.
//
// Takes the files of Gradio's upload field and of a folder, dropped or chosen, and uploads the songs among them; Gradio
// would lose them all where one cannot be sent. Files that are no songs are not uploaded but listed below the field: in a
// folder those without a suffix of `props.suffixes`; of files that were chosen one by one only those that the browser knows
// to be something else, since the decoder knows more. Hidden files, those in folders of the system, and what a cloud has in
// the place of a song (`props.hidden`, `props.system` and `props.placeholder`, as in genre/audio/folders.py) are left out
// of both. `props.zone` and `props.field` are the ids of the tab and of its upload field, `props.most` is the number of
// songs that the server accepts at a time, `props.largest` the bytes of one, `props.group` the number that are handed over
// at once, `props.words` holds sentences, and `props.left_out` those on files that are left out, by the reason.

const NAMED = 3; // files that are left out
const GROUP_BYTES = 2e7; // of a group of more than one file
const WAITS_MS = [500, 2000, 5000]; // before a song is sent again
const PATIENCE_MS = 60_000; // of all these waits
const PASSING = [0, 408, 429, 502, 503, 504]; // statuses of answers that another attempt may change; 0 is none
const TOO_LARGE = 413;

const zone = element.closest(`#${props.zone}`);
const picker = element.querySelector("input");
const statusLine = element.querySelector("[role=status]");
const bar = element.querySelector("progress");
const ENDS = ".ends-uploads"; // buttons that end it: "Stop" and "Start over"
const FIELD = `#${props.field} input[type=file]`;
let submitted = Promise.resolve(); // the last submission; the next one waits for it
let pending = 0; // submissions that are not finished
let sentences = []; // on files that were left out of them
let ends = 0; // how often the visitor has ended it
let request = null; // the upload on its way

const last = (name) => name.split("/").pop();
const whole = (pattern) => new RegExp(`^(?:${pattern})$`, "is");
const [hidden, system, placeholder] = [props.hidden, props.system, props.placeholder].map(whole);
const hasSuffix = ({ name }) => props.suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
const mayBeAudio = (file) => hasSuffix(file) || /^(audio|video|$)/.test(file.type);

// The reason why a file is left out, empty for a song. A folder that was chosen may itself be hidden.
function reason({ name, size }, isSong) {
  const parts = name.split("/");
  if (parts.some((part) => system.test(part))) return "system";
  const cloud = placeholder.exec(last(name))?.[2];
  if (cloud) return cloud.toLowerCase();
  if (parts.slice(parts.length > 1 ? 1 : 0).some((part) => hidden.test(part))) return "hidden";
  if (!isSong) return "other";
  return size > props.largest ? "large" : "";
}

function submitFolder(files) {
  files.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  submit(files, hasSuffix);
}

// Submits songs after those submitted before, and lists the other files.
function submit(files, isSong) {
  const reasons = new Map(files.map((file) => [file, reason(file, isSong(file))]));
  const those = (kind) => files.filter((file) => reasons.get(file) === kind);
  const songs = those("");
  if (!pending) sentences = [];
  sentences.push(files.length ? "" : props.words.none);
  sentences.push(...Object.keys(props.left_out).map((kind) => listed(those(kind), kind)));
  showStatus();
  if (!songs.length) return;
  pending++;
  submitted = submitted.then(() => send(songs)).finally(() => pending--);
}

const showStatus = (progress = "") => (statusLine.textContent = [progress, ...sentences].filter(Boolean).join(" "));

// Uploads songs and hands them over group by group, until the visitor ends it. Those that could not be sent have an empty
// path. One more than the server accepts tells it that there were too many.
async function send(songs) {
  const taken = songs.slice(0, props.most + 1);
  const allBytes = taken.reduce((sum, { size }) => sum + size, 0) || 1;
  const tooLarge = [];
  const before = ends;
  let [done, bytes, patience] = [0, 0, PATIENCE_MS];

  async function sent(song) {
    if (song.unreadable) return { path: "" };
    for (let attempt = 0; ; attempt++) {
      const answer = await upload(song, (loaded) => (bar.value = (bytes + loaded) / allBytes));
      const wait = WAITS_MS[attempt] ?? Infinity;
      if (answer.path || !PASSING.includes(answer.status) || wait > patience || ends !== before) return answer;
      patience -= wait;
      await new Promise((over) => setTimeout(over, wait));
    }
  }

  bar.value = 0;
  bar.hidden = false;
  for (const group of grouped(taken)) {
    const files = [];
    for (const song of group) {
      showStatus(props.words.progress.replace("{n}", done).replace("{all}", taken.length));
      const { path, status } = await sent(song);
      if (ends !== before) break;
      if (status === TOO_LARGE) tooLarge.push(song);
      files.push([path, song.name]);
      done++;
      bytes += song.size;
    }
    if (ends !== before) break;
    trigger("dropped", { files });
  }
  bar.hidden = true;
  sentences.push(listed(tooLarge, "refused"));
  showStatus();
}

// Status and path of an upload; the path is empty where the server has not taken it.
function upload(song, onProgress) {
  const { root, api_prefix: prefix } = window.gradio_config;
  const folder = new URL(root, location).pathname.replace(/\/$/, ""); // behind a proxy, the host of the root is another one
  const form = new FormData();
  form.append("files", song);
  return new Promise((done) => {
    request = new XMLHttpRequest();
    request.open("POST", `${folder}${prefix}/upload`);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onloadend = ({ target }) => {
      const { status, response } = target;
      done({ status, path: (status === 200 && response?.[0]) || "" });
    };
    request.send(form);
  });
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

zone.addEventListener("click", ({ target }) => {
  if (!target.closest(ENDS)) return;
  ends++;
  request?.abort();
});

// The names of files that are left out, after the words for the reason; empty for none.
function listed(files, kind) {
  const [one, many] = props.left_out[kind];
  const names = files.map(({ name }) => last(name));
  const first = names.slice(0, NAMED).join(", ");
  const more = props.words.more.replace("{n}", names.length - NAMED).replace("{names}", () => first);
  const words = names.length > 1 ? many.replace("{n}", names.length) : one;
  return names.length ? `${words}${names.length > NAMED ? more : first}.` : "";
}

const named = (file, path) => new File([file], path.replace(/^\//, ""), { type: file.type });

// All files of a dropped entry, recursively; one that the browser may not read is sent to the server as a row without a
// path. A reader returns at most 100 entries at a time.
async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((done) => entry.file(done, () => done(null)));
    return [Object.assign(named(file ?? new File([], ""), entry.fullPath), { unreadable: !file })];
  }
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((done) => reader.readEntries(done, () => done([])));
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
    if (!event.target.matches(FIELD) || !event.target.files.length) return;
    event.stopPropagation();
    const files = [...event.target.files];
    event.target.value = "";
    submit(files, mayBeAudio);
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
    if (entries.every(({ isFile }) => isFile)) submit(files, mayBeAudio);
    else submitFolder(files);
  },
  true,
);
