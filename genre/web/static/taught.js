// Without this script no song could be moved to another genre or removed.
//
// The table of songs to learn from: a menu moves a song to another genre, a button removes it. The content is replaced
// after every change, so the focus goes back to the same song, or to the one in its place.

let last = null; // what had the focus: element name, song, position among its kind

const kind = (name) => [...element.querySelectorAll(name)];

element.addEventListener("focusin", ({ target }) => {
  const name = target.localName;
  last = target.dataset.song ? { name, song: target.dataset.song, at: kind(name).indexOf(target) } : null;
});

element.addEventListener("change", ({ target }) => {
  if (target.matches("select")) trigger("input", { song: Number(target.dataset.song), genre: target.value });
});

element.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-song]");
  if (button) trigger("input", { song: Number(button.dataset.song), genre: null });
});

watch("value", () => {
  if (!last || (document.activeElement && document.activeElement !== document.body)) return;
  const all = kind(last.name);
  const same = all.find(({ dataset }) => dataset.song === last.song);
  (same ?? all[Math.min(last.at, all.length - 1)])?.focus({ preventScroll: true });
});
