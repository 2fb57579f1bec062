// Times in the zone of the configuration, by the relay's clock.

let zone = "UTC";
let format = formatter();
let skew = 0; // ms that this machine's clock is behind the relay's

function formatter() {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }); // 2026-11-26 22:08:15
}

/** Show times in a zone from now on; in UTC if this browser does not know it. */
export function useZone(name) {
  zone = name;
  try {
    format = formatter();
  } catch {
    zone = "UTC";
    format = formatter();
  }
}

/** Learn the relay's time from the Date header of an answer. */
export function heard(date) {
  const behind = Date.parse(date) - Date.now();
  if (!Number.isNaN(behind)) skew = Math.abs(behind) > 2000 ? behind : 0;
}

/** Return the relay's time, in ms. */
export const now = () => Date.now() + skew;

/** Return a moment's time of day, with its date if that is not today. */
export function clock(at) {
  const [day, time] = format.format(new Date(at)).split(" ");
  return day === format.format(now()).split(" ")[0] ? time : `${day} ${time}`;
}

/** Return the time of day with its zone. */
export const timeOfDay = () => `${format.format(now()).split(" ")[1]} ${zone}`;

/** Return seconds in words, as the command line does. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}
