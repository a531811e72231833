// The explanation appears below the timeline, often outside the viewport: scroll just far enough to show it, which the
// option `scroll_to_output` of Gradio 6.31 does not do here.

watch("value", () => {
  element.querySelector(".why")?.scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    block: "nearest",
  });
});
