// What the page can do beyond plain HTML: refresh, local times, keys. Without it everything works by links and forms.
"use strict";

// Seconds between two looks; what is under way is looked at each second.
const INTERVAL = 5;
const keep = (name, value) => {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch {
    // A browser may keep nothing: then the choice lasts as long as the page.
  }
  return value;
};

// Choices, kept in this browser.
const choice = (name, values, apply) => {
  const controls = document.getElementById("controls");
  const button = document.createElement("button");
  button.className = "quiet";
  button.type = "button";
  let value = keep(name);
  if (!values.includes(value)) value = values[0];
  const show = () => {
    button.textContent = value;
    button.setAttribute("aria-label", `${name}: ${value}`);
    apply(value);
  };
  button.addEventListener("click", () => {
    value = values[(values.indexOf(value) + 1) % values.length];
    keep(name, value);
    show();
  });
  if (controls) {
    controls.append(button);
    controls.hidden = false;
  }
  show();
  return () => value;
};

// Times: the server writes UTC.
let isLocal = false;
const two = (number) => String(number).padStart(2, "0");
const show = (time) => {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const iso = at.toISOString();
  time.textContent = isLocal
    ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
    : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
  const seconds = Math.round((Date.now() - at.getTime()) / 1000);
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => Math.abs(seconds) >= size) ?? [1, "second"];
  time.title = new Intl.RelativeTimeFormat("en").format(-Math.trunc(seconds / size), unit);
};
const showTimes = (root) => root.querySelectorAll("time").forEach(show);

choice("zone", ["UTC", "local time"], (zone) => {
  isLocal = zone !== "UTC";
  const name = isLocal ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC";
  document.getElementById("zone").textContent = name;
  showTimes(document);
});
choice("theme", ["system colours", "light", "dark"], (theme) => {
  document.documentElement.dataset.theme = theme;
});

// Copy: a browser lets a page write to the clipboard over HTTPS and on this machine only; elsewhere the text is selected.
const copied = [...document.querySelectorAll("[data-copy]")].map((button) => {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    const told = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(source.textContent);
      told.textContent = "Copied.";
    } catch {
      document.getSelection().selectAllChildren(source);
      told.textContent = "Selected: copy it with Ctrl+C or ⌘C.";
    }
  });
  return source;
});

// Refresh: only what has changed is replaced, and nothing under a selection, in a hidden tab, or while somebody types.
let tag = null;
let waiting = 0;
// What was selected to be copied never changes, so that it holds up nothing.
const isReading = () => {
  const { isCollapsed, anchorNode } = document.getSelection();
  return !isCollapsed && !copied.some((element) => element.contains(anchorNode));
};
const isBusy = () =>
  document.hidden ||
  isReading() ||
  document.activeElement?.matches("input:not([type=hidden]), select, textarea");
const replaceChanged = (fresh) => {
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now) continue;
    showTimes(now);
    if (now.innerHTML !== old.innerHTML && !old.contains(document.activeElement)) old.innerHTML = now.innerHTML;
  }
  const list = document.querySelector("[data-live-rows] tbody");
  if (!list) return;
  const added = [...fresh.querySelectorAll("[data-live-rows] tbody tr")].filter((row) => !document.getElementById(row.id));
  offer(added.length);
};
const offer = (count) => {
  if (count === waiting) return;
  waiting = count;
  const found = document.getElementById("found");
  found?.querySelector("button")?.remove();
  if (count === 0) return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `show ${count} new`;
  button.addEventListener("click", () => location.reload());
  found?.append(" ", button);
};
const refresh = async () => {
  if (isBusy()) return;
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(location.href, { headers, redirect: "error", credentials: "same-origin" });
  if (!answer.ok) return;
  tag = answer.headers.get("etag");
  replaceChanged(new DOMParser().parseFromString(await answer.text(), "text/html"));
};
// What a page shows before an order stays as it was counted.
if (document.querySelector("[data-live]") && !document.querySelector("[data-still]")) {
  const isLive = choice("refresh", ["live", "paused"], () => {});
  let isAsking = false;
  let passed = 0;
  setInterval(async () => {
    passed += 1;
    if (isLive() !== "live" || isAsking || passed < (document.querySelector("[data-soon]") ? 1 : INTERVAL)) return;
    passed = 0;
    isAsking = true;
    try {
      await refresh();
      document.body.removeAttribute("data-away");
    } catch {
      document.body.dataset.away = "";
    }
    isAsking = false;
  }, 1000);
}

// Keys.
const hasKeys = choice("keys", ["keys on", "keys off"], () => {});
const rows = () => [...document.querySelectorAll("[data-rows] tbody tr")];
document.addEventListener("keydown", (event) => {
  if (hasKeys() !== "keys on" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) return;
  const move = (step) => {
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    all[Math.min(Math.max(at + step, 0), all.length - 1)]?.querySelector("a")?.focus();
  };
  const act = {
    "/": () => document.querySelector(".search input")?.focus(),
    j: () => move(1),
    k: () => move(-1),
    "?": () => document.querySelector("nav a[href$=help]")?.click(),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});
