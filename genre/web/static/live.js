// In place of Gradio's `Audio(streaming=True)`. Without this script a visitor would miss the level of the microphone, the
// whole recording at the end, and its survival of a busy server, a lost connection and a page that is loaded anew.
//
// Records the microphone: shows its level, sends the new samples to the server about once a second, and stores all of them
// so that the whole recording can be uploaded at the end. `props.most` is the length in seconds at which it stops by itself,
// `props.buffer` the seconds that the server classifies, `props.quiet` the level in dBFS below which it hears nothing.
//
// Once Gradio has lost the connection it does nothing more, and loads the page anew when the server answers. So that no
// recording is lost, its blocks are also put into the browser's storage, until the tab of one song shows its result; a
// page that is loaded anew uploads what it finds there (any_file.js opens this tab for that). While it records, Gradio
// gets no answer, and does not reload.

const SEND_MS = 1000;
const METER_MS = 100;
const LOWEST = -80; // dBFS, the left end of the meter
const FALL = 2; // dB, largest decrease of the meter between two readings, so that it does not flicker
const BUSY_MS = 5000; // between two attempts while the server is too busy
const SILENT_MS = 15_000; // without an answer to samples, after which a message says so
const ANSWER_MS = 15_000; // for the server to take the recording that was uploaded
const SHORTEST_SECONDS = 0.5; // of a recording that is uploaded
const STORED = "genre-live"; // name of the storage, and of the number of this tab's recording in the session's storage
const STORED_MS = 3_600_000; // after which a recording that was left there is deleted

const find = (selector) => element.querySelector(selector);
const panel = find(".live");
const { texts } = props;

const MICROPHONE = { channelCount: 1 }; // without the browser's processing for calls, see head.js

const BLOCK = 2048; // samples

// Runs in the audio thread and posts its input as 16-bit samples in blocks.
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  block = new Int16Array(${BLOCK});
  filled = 0;
  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
    }
    return true;
  }
});`;

let session = null; // while recording: stream, context, blocks, number of blocks sent, timers
let unsent = null; // a recording that could not be uploaded
let onItsWay = false; // a recording is being uploaded
let hadFocus = false; // the button, before it was disabled
let waiting = 0; // when the samples were sent that the server has not answered; later ones are sent with the next request
let storing = Promise.resolve(true); // the writes to the storage; whether all of the last recording is there
let isStored = false; // the recording that is unsent
let stopping = false; // its last blocks are being stored

// Runs a function on the storage of blocks; their keys are [number of the recording, number of the block].
async function onStorage(mode, run) {
  const database = await new Promise((done, failed) => {
    const opening = indexedDB.open(STORED, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("blocks");
    opening.onsuccess = () => done(opening.result);
    opening.onerror = failed;
  });
  try {
    const transaction = database.transaction("blocks", mode);
    const request = run(transaction.objectStore("blocks"));
    await new Promise((done, failed) => {
      transaction.oncomplete = done;
      transaction.onabort = failed;
    });
    return request.result;
  } finally {
    database.close();
  }
}

const allOf = (id) => IDBKeyRange.bound([id], [id, []]);

// Stores the blocks that are not stored yet.
function store() {
  const { id, context, blocks, stored } = session;
  const fresh = { rate: context.sampleRate, blocks: blocks.slice(stored) };
  if (!fresh.blocks.length) return;
  session.stored = blocks.length;
  const write = () => onStorage("readwrite", (storage) => storage.put(fresh, [id, stored]));
  storing = storing.then((all) => write().then(() => all)).catch(() => false); // private windows may have no storage
}

// Deletes this tab's recording from the storage, and all that are old.
function forget() {
  const id = Number(sessionStorage.getItem(STORED));
  sessionStorage.removeItem(STORED);
  isStored = false;
  const old = IDBKeyRange.upperBound([Date.now() - STORED_MS]);
  onStorage("readwrite", (storage) => storage.delete(old)).catch(() => {});
  if (id) onStorage("readwrite", (storage) => storage.delete(allOf(id))).catch(() => {});
}

// Uploads a recording that was in the storage when the page was loaded.
async function resume() {
  const id = Number(sessionStorage.getItem(STORED));
  if (!id) return;
  setBusy(true);
  onItsWay = isStored = true;
  const parts = await onStorage("readonly", (storage) => storage.getAll(allOf(id))).catch(() => []);
  const blocks = parts.flatMap((part) => part.blocks);
  if (blocks.length) await keep(asFile(blocks, parts[0].rate));
  onItsWay = false;
  setBusy(false);
}

async function start() {
  setUnsent(null);
  forget();
  document.querySelectorAll("audio").forEach((audio) => audio.pause()); // which the microphone would record
  setMessage(texts.asking);
  setBusy(true);
  let stream;
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    stream = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE });
    const context = new AudioContext();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([TAP], { type: "text/javascript" })));
    const tap = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    context.createMediaStreamSource(stream).connect(tap);
    const id = Date.now();
    session = { id, stream, context, blocks: [], samples: 0, measured: 0, sent: 0, stored: 0, level: LOWEST, timers: [] };
    sessionStorage.setItem(STORED, id);
    storing = Promise.resolve(true);
    tap.port.onmessage = ({ data }) => {
      session?.blocks.push(data);
      if (session) session.samples += data.length;
    };
    stream.getAudioTracks()[0].onended = stop; // the microphone was unplugged, or the permission withdrawn
    session.timers = [setInterval(measure, METER_MS), setInterval(send, SEND_MS), setInterval(store, SEND_MS)];
    waiting = 0;
    setMessage("");
    setRecording(true);
  } catch (error) {
    stream?.getTracks().forEach((track) => track.stop());
    setMessage(texts[error.name] ?? texts.failed, true);
  }
  setBusy(false);
}

async function stop() {
  if (!session) return;
  const { stream, context, blocks, samples, timers } = session;
  const rate = context.sampleRate;
  timers.forEach(clearInterval);
  stopping = true;
  store();
  session = null;
  stream.getTracks().forEach((track) => track.stop());
  context.close();
  setRecording(false);
  setBusy(true);
  isStored = await storing;
  stopping = false;
  if (samples < SHORTEST_SECONDS * rate) {
    forget();
    setMessage(texts.short);
    setBusy(false);
    return;
  }
  await keep(asFile(blocks, rate));
}

const asFile = (blocks, rate) => {
  const samples = blocks.reduce((sum, block) => sum + block.length, 0);
  return new File([header(samples, rate), ...blocks], texts.file, { type: "audio/wav" });
};

// Uploads a recording; where that fails, or nothing takes it, it can be sent again or saved.
async function keep(recording) {
  setUnsent(null);
  setMessage(texts.sending);
  setBusy(true);
  onItsWay = true;
  try {
    const { path } = await upload(recording);
    await new Promise((taken, failed) => {
      window.addEventListener("live-taken", taken, { once: true });
      setTimeout(failed, ANSWER_MS);
      trigger("stop", { path });
    });
    setMessage(texts.sent);
  } catch {
    setMessage(texts.lost, true);
    setUnsent(recording);
  }
  onItsWay = false;
  setBusy(false);
}

// The tab of one song shows a result: that of the recording, unless it has not been taken.
window.addEventListener("song-classified", () => !session && !stopping && !onItsWay && !unsent && forget());

function setUnsent(recording) {
  const link = find(".unsent a");
  if (unsent) URL.revokeObjectURL(link.href);
  unsent = recording;
  find(".unsent").hidden = !recording;
  if (recording) link.href = URL.createObjectURL(recording);
}

// While it is busy, the button is disabled; a browser then takes the focus from it.
function setBusy(busy) {
  const button = find(".live > button");
  if (busy && !button.disabled) hadFocus = document.activeElement === button;
  button.disabled = busy;
  if (!busy && hadFocus && document.activeElement === document.body) button.focus();
}

function send() {
  if (waiting || session.sent === session.blocks.length) return;
  waiting = Date.now();
  const used = Math.ceil((props.buffer * session.context.sampleRate) / BLOCK);
  const first = Math.max(session.sent, session.blocks.length - used); // a slow connection would fall behind with all
  const sound = base64(session.blocks.slice(first));
  trigger("sound", { sound, rate: session.context.sampleRate, fresh: session.sent === 0 });
  session.sent = session.blocks.length;
}

// The page dispatches these events after a response and after a refusal.
window.addEventListener("live-classified", () => {
  waiting = 0;
  const genre = document.querySelector("#live-prediction h2")?.textContent ?? "";
  if (session && find(".announcement").textContent !== genre) find(".announcement").textContent = genre;
});

window.addEventListener("live-refused", () => setTimeout(() => (waiting = 0), BUSY_MS));

function measure() {
  const fresh = session.blocks.slice(session.measured);
  session.measured = session.blocks.length;
  const count = fresh.reduce((sum, block) => sum + block.length, 0);
  const power = fresh.flatMap((block) => [...block]).reduce((sum, sample) => sum + (sample / 32768) ** 2, 0);
  const now = power > 0 ? Math.max(LOWEST, 10 * Math.log10(power / count)) : LOWEST;
  session.level = Math.max(now, session.level - FALL);
  meter(session.level);
  const seconds = session.samples / session.context.sampleRate;
  find(".clock").textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const isSilent = waiting && Date.now() - waiting > SILENT_MS;
  if (isSilent) setMessage(texts.silent, true);
  else if (seconds > 1) setMessage(session.level < props.quiet ? texts.quiet : texts.loud);
  if (seconds >= props.most) stop();
}

function meter(level) {
  const bar = find("[role=meter]");
  const fraction = (dbfs) => 1 - dbfs / LOWEST;
  bar.style.setProperty("--fraction", fraction(level));
  bar.style.setProperty("--quiet", fraction(props.quiet));
  bar.setAttribute("aria-valuenow", Math.round(level));
  find(".level").textContent = level > LOWEST ? `${Math.round(level)} dBFS` : "– dBFS";
}

function setRecording(recording) {
  panel.classList.toggle("recording", recording);
  find(".live > button").textContent = recording ? texts.stop : texts.start;
  find(".announcement").textContent = "";
  meter(LOWEST);
}

function setMessage(text, isError = false) {
  const message = find(".message");
  panel.classList.toggle("failed", isError);
  if (message.textContent !== text) message.textContent = text;
}

function base64(blocks) {
  const bytes = blocks.map((block) => String.fromCharCode(...new Uint8Array(block.buffer)));
  return btoa(bytes.join(""));
}

// Header of a WAV file: mono, 16 bits a sample.
function header(samples, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channel
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples, true);
  return view;
}

setRecording(false);
setMessage(texts.ready);
find(".live > button").addEventListener("click", () => (session ? stop() : start()));
find(".unsent button").addEventListener("click", () => keep(unsent));

const mustStay = () => session || stopping || ((unsent || onItsWay) && !isStored); // would be lost with the page
addEventListener("beforeunload", (event) => mustStay() && event.preventDefault()); // the browser then asks

// Gradio asks for the app's id until it gets an answer, and then loads the page anew.
const { fetch } = window;
window.fetch = (address, ...others) =>
  mustStay() && String(address).endsWith("/app_id") ? Promise.reject(new TypeError()) : fetch(address, ...others);

resume();
