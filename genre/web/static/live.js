// Records the microphone: shows its level, sends the new samples to the server about once a second, and stores all of them
// so that the whole recording can be uploaded at the end. `element` is the component's root.

const SEND_MS = 1000;
const METER_MS = 100;
const LOWEST = -80; // dBFS, the left end of the meter
const FALL = 2; // dB, largest decrease of the meter between two readings, so that it does not flicker
const BUSY_MS = 5000; // between two attempts while the server is too busy
const SHORTEST_SECONDS = 0.5; // of a recording that is uploaded

const find = (selector) => element.querySelector(selector);
const panel = find(".live");
const texts = JSON.parse(panel.dataset.texts);

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
let hadFocus = false; // the button, before it was disabled
let waiting = false; // for the server's response; later samples are sent with the next request

async function start() {
  setUnsent(null);
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
    session = { stream, context, blocks: [], samples: 0, measured: 0, sent: 0, level: LOWEST, timers: [] };
    tap.port.onmessage = ({ data }) => {
      session?.blocks.push(data);
      if (session) session.samples += data.length;
    };
    stream.getAudioTracks()[0].onended = stop; // the microphone was unplugged, or the permission withdrawn
    session.timers = [setInterval(measure, METER_MS), setInterval(send, SEND_MS)];
    waiting = false;
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
  session = null;
  timers.forEach(clearInterval);
  stream.getTracks().forEach((track) => track.stop());
  context.close();
  setRecording(false);
  if (samples < SHORTEST_SECONDS * rate) {
    setMessage(texts.short);
    return;
  }
  await keep(new File([header(samples, rate), ...blocks], texts.file, { type: "audio/wav" }));
}

// Uploads a recording; where that fails, it can be sent again or saved.
async function keep(recording) {
  setUnsent(null);
  setMessage(texts.sending);
  setBusy(true);
  try {
    const { path } = await upload(recording);
    trigger("stop", { path });
    setMessage(texts.sent);
  } catch {
    setMessage(texts.lost, true);
    setUnsent(recording);
  }
  setBusy(false);
}

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
  if (busy) hadFocus = document.activeElement === button;
  button.disabled = busy;
  if (!busy && hadFocus && document.activeElement === document.body) button.focus();
}

function send() {
  if (waiting || session.sent === session.blocks.length) return;
  waiting = true;
  const used = Math.ceil((Number(panel.dataset.buffer) * session.context.sampleRate) / BLOCK);
  const first = Math.max(session.sent, session.blocks.length - used); // a slow connection would fall behind with all
  const sound = base64(session.blocks.slice(first));
  trigger("sound", { sound, rate: session.context.sampleRate, fresh: session.sent === 0 });
  session.sent = session.blocks.length;
}

// The page dispatches these events after a response and after a refusal.
window.addEventListener("live-classified", () => {
  waiting = false;
  const genre = document.querySelector("#live-prediction h2")?.textContent ?? "";
  if (session && find(".announcement").textContent !== genre) find(".announcement").textContent = genre;
});

window.addEventListener("live-refused", () => setTimeout(() => (waiting = false), BUSY_MS));

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
  if (seconds > 1) setMessage(session.level < Number(panel.dataset.quiet) ? texts.quiet : texts.loud);
  if (seconds >= Number(panel.dataset.most)) stop();
}

function meter(level) {
  const bar = find("[role=meter]");
  const fraction = (dbfs) => 1 - dbfs / LOWEST;
  bar.style.setProperty("--fraction", fraction(level));
  bar.style.setProperty("--quiet", fraction(Number(panel.dataset.quiet)));
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
addEventListener("beforeunload", (event) => (session || unsent) && event.preventDefault()); // the browser then asks
