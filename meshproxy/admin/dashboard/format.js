// Numbers and times, as people read them.

const NONE = "–";

/** 0, 0.4, 12, 340, 1.2k: of something a second. */
export function rate(value) {
  if (!value) return "0";
  if (value < 0.1) return "<0.1";
  if (value < 10) return value.toFixed(1).replace(/\.0$/, "");
  if (value < 1000) return Math.round(value).toString();
  return `${(value / 1000).toPrecision(3).replace(/\.?0+$/, "")}k`;
}

/** 250µs, 4.5ms, 1.2s. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds >= 1) return `${trim(seconds)}s`;
  if (seconds >= 0.001) return `${trim(seconds * 1000)}ms`;
  return `${trim(seconds * 1e6)}µs`;
}

const trim = (value) => {
  const text = value.toPrecision(value >= 100 ? 3 : 2);
  return Number(text).toString();
};

/** 100%, 99.9%, 87%: never rounded up to 100. */
export function share(value) {
  if (value === null || value === undefined) return NONE;
  if (value >= 1) return "100%";
  const percent = value * 100;
  return percent >= 99 ? `${(Math.floor(percent * 100) / 100).toString()}%` : `${trim(percent)}%`;
}

/** 512 B, 1.5 kB, 3.2 MB. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (value >= 1000 && power < units.length - 1) {
    value /= 1000;
    power += 1;
  }
  return `${power && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** 12s, 5m, 3h, 2d. */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))}s`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** 20:37:01, of seconds since 1970. */
export const clock = (seconds) => CLOCK.format(seconds * 1000);

/** 24 Nov 2026, 20:37. */
export const date = (seconds) => DATE.format(seconds * 1000);

/** 1,234. */
export const count = (value) => (value ?? 0).toLocaleString("en");

/** "1 endpoint", "3 endpoints". */
export const several = (number, noun, plural = `${noun}s`) => `${count(number)} ${number === 1 ? noun : plural}`;
