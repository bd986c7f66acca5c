const videos = [...document.querySelectorAll("video")];
const button = document.getElementById("play");
const still = matchMedia("(prefers-reduced-motion: reduce)");

function play(on) {
  for (const video of videos) on ? video.play().catch(() => {}) : video.pause();
  button.textContent = on ? "Pause the videos" : "Play the videos";
}

if (button) {
  // Without this script, each video has controls of its own.
  for (const video of videos) video.controls = false;
  button.hidden = false;
  button.addEventListener("click", () => play(videos[0].paused));
  still.addEventListener("change", () => play(!still.matches));
  play(!still.matches);
}
