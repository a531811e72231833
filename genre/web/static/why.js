// The map comes below the timeline, often out of sight: scroll just far enough to show that it is there.

watch("value", () => {
  element.querySelector(".why")?.scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    block: "nearest",
  });
});
