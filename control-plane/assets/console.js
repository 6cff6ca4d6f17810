// What pages do beyond what htmx does: times that pass are told anew, and a form is sent once.
"use strict";

const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

// A span as the server says it: in its largest unit, of which there are at least two.
function span(seconds) {
  const [size, unit] = units.find(([size]) => seconds >= 2 * size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
}

// The server's clock counts, not this machine's.
const served = Number(document.documentElement.dataset.now);
const skew = served ? served - Date.now() : 0;

function tell(time) {
  const left = Math.round((Date.parse(time.dateTime) - (Date.now() + skew)) / 1000);
  time.textContent = left > 0 ? `in ${span(left)}` : `${span(-left)} ago`;
  time.classList.toggle("soon", left > 0 && left < 120);
  time.classList.toggle("over", left <= 0);
}

function tellAll() {
  document.querySelectorAll("time[data-counts]").forEach(tell);
}

tellAll();
setInterval(tellAll, 1000);
document.addEventListener("htmx:afterSwap", tellAll);

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  form.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", "true"));
});

// A page that the browser kept is shown as it was left: nothing of it was sent yet.
addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => button.removeAttribute("aria-disabled"));
  });
});
