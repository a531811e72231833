// The explanation appears below the timeline, often outside the viewport: scroll just far enough to show it.

watch("value", () => {
  element.querySelector(".why")?.scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    block: "nearest",
  });
});
