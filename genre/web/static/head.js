// Gradio inserts this into the head of the page once it has started. Without it screen readers would read English in the
// voice of another language, recordings would be processed as calls are, and results could be lost by a reload.

// The page is in English; Gradio declares it to be in the language of the browser, in which screen readers would read it.
const page = document.documentElement;
const declare = () => page.lang === "en" || (page.lang = "en");
new MutationObserver(declare).observe(page, { attributes: true, attributeFilter: ["lang"] });
declare();

// The browser's processing for calls (noise suppression, gain control) distorts music, and Gradio's recorder leaves it on.
const devices = navigator.mediaDevices;
if (devices) {
  const getUserMedia = devices.getUserMedia.bind(devices);
  const unprocessed = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  devices.getUserMedia = ({ audio, ...others }) =>
    getUserMedia({ ...others, audio: audio && { ...unprocessed, ...(audio === true ? {} : audio) } });
}

// Loading the page anew loses the results of a batch and the model that was taught, so the browser asks before it, unless
// they have been downloaded as they are.
const RESULTS = { batch: ".songs tr:has([data-row])", teach: ".learned" };
const saved = {}; // the results of a tab when they were downloaded
const results = (tab) => [...document.querySelectorAll(`#${tab} ${RESULTS[tab]}`)].map((one) => one.textContent).join("\n");

document.addEventListener("click", ({ target }) => {
  const tab = target.closest(".downloads")?.closest("#batch, #teach")?.id;
  if (tab) saved[tab] = results(tab);
});

addEventListener("beforeunload", (event) => {
  if (Object.keys(RESULTS).some((tab) => results(tab) && results(tab) !== saved[tab])) event.preventDefault();
});
