// Without this script a visitor could not choose songs in containers that browsers do not know as audio, nor drop one on
// a page that shows another, and would be told nothing lasting of a file that was not sent, of a folder, of a connection
// that was lost or of a microphone that the browser withholds.
//
// Gradio's audio component accepts only files whose type begins with "audio", and browsers derive the type from the
// suffix. Only the decoder can tell whether a file holds audio, so the file dialog offers all files, and each is submitted
// with an audio type. A folder or a file of more than `props.largest` bytes cannot be uploaded: the card then shows
// `props.folder` or `props.too_large`, and after an upload that failed `props.refused` (it is too large for the server),
// `props.no_room` (its disk is full) or `props.not_sent`. A file may be dropped anywhere on the tab, also while it shows
// another song. After a loss of the connection Gradio loads the page anew, and the card shows `props.lost`, unless there is
// a recording to send: then the tab named `props.live` is opened. Where browsers give no page of this address a
// microphone, the card shows `props.insecure`, in place of the recorder's "No microphone found".

const INPUT = "#song input[type=file]";
const CLEAR = "#song button[aria-label=Clear]";
const LOST = "genre-connection-lost"; // in the session's storage
const LEAVING_MS = 30_000; // after a visitor has begun to leave the page, in which a loss is nothing to tell
const POLL_MS = 50;
const POLLS = 100; // for the empty field
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

capture("change", (event) => {
  const { target } = event;
  if (!target.matches(INPUT)) return;
  if ([...target.files].some(({ size }) => size > props.largest)) {
    event.stopPropagation();
    target.value = "";
    props.value = props.too_large;
    return;
  }
  if (![...target.files].every(isAudio)) target.files = asAudio(target.files);
});

// The field for a file, after the song that is shown has been cleared.
async function emptyField() {
  for (let poll = 0; poll < POLLS && !document.querySelector(INPUT); poll++) {
    document.querySelector(CLEAR)?.click();
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  return document.querySelector(INPUT);
}

async function take(file) {
  const input = await emptyField();
  if (!input) {
    props.value = props.not_sent; // another upload goes on
    return;
  }
  input.files = asAudio([file]);
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

// Of an upload that failed Gradio shows the technical reason for some seconds, and nothing afterwards.
const { fetch } = window;
window.fetch = async (address, ...others) => {
  const isSong = /\/upload(\?|$)/.test(address) && document.querySelector("#ask")?.offsetParent; // not of another tab
  try {
    const response = await fetch(address, ...others);
    if (isSong && !response.ok)
      props.value = { 413: props.refused, 507: props.no_room }[response.status] ?? props.not_sent;
    return response;
  } catch (error) {
    if (isSong) props.value = props.not_sent;
    throw error;
  }
};

// Otherwise a browser opens a file that is dropped beside a field, in place of the page or in another tab.
const holdsFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());

document.addEventListener(
  "drop",
  (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    if (!document.querySelector("#ask")?.offsetParent) return; // another tab
    event.stopPropagation();
    const { items, files } = event.dataTransfer;
    if ([...items].some((item) => item.webkitGetAsEntry?.()?.isDirectory)) props.value = props.folder;
    else if (files.length) take(files[0]);
  },
  true,
);

// When a visitor loads the page anew while it works, Gradio loses the connection, too, and may then load it once more.
let leaves = 0;
function leave() {
  const lost = [...document.querySelectorAll(".toast-body")].some(({ textContent }) => /connection/i.test(textContent));
  if (!lost) leaves = Date.now();
  else if (Date.now() - leaves > LEAVING_MS) sessionStorage.setItem(LOST, "yes");
}
addEventListener("beforeunload", leave, true); // before Gradio closes the connection

// While Gradio draws the page, it may set the initial value of the card again.
async function tellOfLoss() {
  for (let poll = 0; poll < POLLS; poll++) {
    if (document.querySelector("#prediction .prediction.empty")) props.value = props.lost;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

// Gradio makes the content of a tab when it is opened; that of this one sends the recording (live.js).
async function openLive() {
  for (let poll = 0; poll < POLLS && !document.querySelector("#live"); poll++) {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    tabs.filter(({ textContent }) => textContent.trim() === props.live).forEach((tab) => tab.click());
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

const lost = sessionStorage.getItem(LOST);
sessionStorage.removeItem(LOST);
if (sessionStorage.getItem("genre-live")) openLive();
else if (lost) tellOfLoss();

function tellWhyNoMicrophone() {
  const devices = document.querySelector("#song .mic-select");
  if (!devices || devices.style.display === "none") return;
  devices.style.display = "none";
  props.value = props.insecure;
}

if (!navigator.mediaDevices)
  new MutationObserver(tellWhyNoMicrophone).observe(element.closest("#ask"), { childList: true, subtree: true });
