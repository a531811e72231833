// Gradio has no component that plays a recording with spectrogram, sections and windows on one time axis.
//
// Behaviour of the timeline: plays the recording, moves the cursor over the plots and shows the prediction of the window
// under it. A click on a plot plays from there and requests the explanation of that window. Arrow keys go from window to
// window, Page up and Page down by ten, Home and End to the first and the last; space plays, enter explains. A window is
// drawn from data-from on, where it begins to be the closest one; where windows overlap, that is after its start.
// `element` is the component's root; its content is replaced with every prediction, so the event listeners are attached
// to the root.

const PAGE = 10; // windows that the keys Page up and Page down move by

const find = (selector) => element.querySelector(selector);

const clock = (seconds) => {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
};

const windowAt = (time) =>
  [...element.querySelectorAll(".window")].findLast((one) => time >= Number(one.dataset.from) - 0.001);

function show(time) {
  const total = Number(find(".timeline").dataset.seconds);
  find(".axes").style.setProperty("--position", Math.min(1, time / total));
  find(".clock b").textContent = clock(time);
  const current = windowAt(time);
  element.querySelectorAll(".window.current").forEach((one) => one !== current && one.classList.remove("current"));
  current?.classList.add("current");
  find(".now").textContent = current ? current.dataset.summary : "";
  find(".roll").setAttribute("aria-valuenow", Math.round(time));
  find(".roll").setAttribute("aria-valuetext", `${clock(time)}, ${find(".now").textContent}`);
}

function seek(time) {
  const audio = find("audio");
  audio.currentTime = time;
  show(time);
  play();
  explain(windowAt(time));
}

function play() {
  const audio = find("audio");
  if (audio.hasAttribute("src")) audio.play().catch(unplayable);
  else find(".now").textContent = audio.dataset.silent;
}

function explain(one) {
  if (one?.dataset.genre) trigger("click", { start: one.dataset.start, genre: one.dataset.genre });
}

function toggle() {
  const audio = find("audio");
  if (audio.paused) play();
  else audio.pause();
}

// Moves by a number of windows, backwards if it is negative, as far as there are any.
function step(by) {
  const windows = [...element.querySelectorAll(".window")];
  const at = windows.indexOf(element.querySelector(".window.current"));
  const next = windows[Math.min(windows.length - 1, Math.max(0, at + by))];
  find("audio").currentTime = Number(next.dataset.from);
  show(Number(next.dataset.from));
}

function unplayable(error) {
  const now = find(".now");
  if (now && error?.name !== "AbortError") now.textContent = props.unplayable;
}

let following = false; // one loop at a time, although the content is replaced while it plays

function follow() {
  const audio = find("audio");
  following = audio?.paused === false;
  if (!following) return;
  show(audio.currentTime);
  requestAnimationFrame(follow);
}

element.addEventListener("click", (event) => {
  if (event.target.closest(".play")) {
    toggle();
    return;
  }
  const plot = event.target.closest("[data-seconds] .plot");
  if (!plot) return;
  const box = plot.getBoundingClientRect();
  const fraction = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  seek(fraction * Number(find(".timeline").dataset.seconds));
});

element.addEventListener("keydown", (event) => {
  if (!event.target.closest(".roll")) return;
  const keys = {
    ArrowLeft: () => step(-1),
    ArrowDown: () => step(-1),
    ArrowRight: () => step(1),
    ArrowUp: () => step(1),
    PageDown: () => step(-PAGE),
    PageUp: () => step(PAGE),
    Home: () => step(-Infinity),
    End: () => step(Infinity),
    Enter: () => explain(element.querySelector(".window.current")),
    " ": toggle,
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

// One recording at a time, also of those on other tabs.
function pauseOthers(playing) {
  document.querySelectorAll("audio").forEach((audio) => audio !== playing && audio.pause());
}

// Shows whether the recording is played, also after the content has been replaced.
function update() {
  const playing = find("audio")?.paused === false;
  find(".timeline")?.classList.toggle("playing", playing);
  find(".play")?.setAttribute("aria-label", playing ? "Pause" : "Play");
  if (playing && !following) follow();
}

watch("value", update);
// Media events do not bubble; the capture phase reaches the root.
for (const event of ["play", "pause", "ended"]) element.addEventListener(event, update, true);
element.addEventListener("play", ({ target }) => pauseOthers(target), true);
element.addEventListener("error", ({ target }) => target.matches("audio") && unplayable(target.error), true);
element.addEventListener("seeked", () => show(find("audio").currentTime), true);
