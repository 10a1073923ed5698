"use strict";

// The frame of a report is as high as its content; its units of height are those of this window.
function focusFit(frame) {
  const root = frame.contentDocument.documentElement;
  root.classList.add("framed");
  const fit = () => {
    root.style.setProperty("--screen", `${window.innerHeight}px`);
    const height = frame.contentDocument.body.getBoundingClientRect().height;
    frame.style.height = `${Math.ceil(height) + frame.offsetHeight - frame.clientHeight}px`;
  };
  new ResizeObserver(fit).observe(frame.contentDocument.body);
  fit();
}

// The report is in this page already: the download asks no server.
function focusDownload(button) {
  const frame = button.closest("#result").querySelector("iframe.report");
  const url = URL.createObjectURL(new Blob([frame.srcdoc], { type: "text/html" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = button.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// A file above the limit is refused before it is sent; true: it may be sent.
function focusAccept(file) {
  const line = document.querySelector("#refused p");
  const limit = Number(line.dataset.limit);
  const isLarge = file && file.size > 1e6 * limit;
  line.textContent = isLarge
    ? `${file.name}: ${Math.round(file.size / 1e6)} MB is too large; the limit is ${limit} MB` : "";
  document.body.classList.toggle("refused", isLarge);
  return !isLarge;
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("#upload input[type=file]") || focusAccept(event.target.files[0])) return;
  event.stopImmediatePropagation();
  event.target.value = "";
}, true);

document.addEventListener("drop", (event) => {
  if (!event.target.closest("#upload") || focusAccept(event.dataTransfer.files[0])) return;
  event.stopImmediatePropagation();
  event.preventDefault();
}, true);

document.addEventListener("paste", (event) => {
  const input = document.querySelector("#upload input[type=file]");
  if (!input || !event.clipboardData.files.length) return;
  event.preventDefault();
  input.files = event.clipboardData.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
