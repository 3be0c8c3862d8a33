// The timeline: each life of netchild that this page has seen, as a bar.
// All times are the server's, in ms since 1970.

const keep = 60; // lives
const shortest = 60e3; // ms that the whole bar stands for, at least
const longest = 600e3; // and at most

export class Lives {
  #section;
  #list;
  #note;
  #from;
  #lives = []; // {number, start, end, element}, oldest first; no end: it lives

  constructor(document) {
    this.#list = document.getElementById("lives");
    this.#section = this.#list.parentElement;
    this.#note = document.getElementById("lives-note");
    this.#from = document.getElementById("lives-from");
  }

  // begin says that this life answers, which started then.
  begin(number, start) {
    let life = this.#lives.at(-1);
    if (life?.number !== number || life.start !== start) {
      if (life) life.end = Math.min(life.end ?? start, start);
      life = { number, start, element: this.#list.appendChild(document.createElement("li")) };
      life.element.id = "life-" + number;
      life.element.textContent = number;
      this.#lives.push(life);
      if (this.#lives.length > keep) this.#lives.shift().element.remove();
    }
    delete life.end;
  }

  // end says that the last life does not answer any more.
  end(now) {
    const life = this.#lives.at(-1);
    if (life) life.end ??= Math.max(now, life.start);
  }

  clear() {
    this.#lives = [];
    this.#list.replaceChildren();
    this.#section.hidden = true;
  }

  render(now) {
    this.#section.hidden = this.#lives.length === 0;
    if (this.#section.hidden) return;
    const span = Math.min(Math.max(now - this.#lives[0].start, shortest), longest);
    const from = now - span;
    // What lies before the first life is not known, and is not painted as a gap.
    this.#list.style.setProperty("--first", (Math.max(this.#lives[0].start - from, 0) / span) * 100 + "%");
    for (const l of this.#lives) this.#place(l, from, span, now);
    this.#from.textContent = duration(span) + " ago";
    this.#note.textContent = this.#summary(now);
  }

  #place(l, from, span, now) {
    const start = Math.max(l.start, from);
    const end = Math.max(l.end ?? now, start);
    l.element.hidden = (l.end ?? now) < from;
    l.element.style.left = ((start - from) / span) * 100 + "%";
    l.element.style.width = ((end - start) / span) * 100 + "%";
    l.element.dataset.life = l.number;
    l.element.dataset.start = l.start;
    if (l.end === undefined) delete l.element.dataset.end;
    else l.element.dataset.end = l.end;
    const text = `life ${l.number}, ${clock(l.start)} to ${l.end === undefined ? "now" : clock(l.end)}, ${duration((l.end ?? now) - l.start)}`;
    if (l.element.title !== text) {
      l.element.title = text;
      l.element.setAttribute("aria-label", text);
    }
  }

  #summary(now) {
    const [before, last] = [this.#lives.at(-2), this.#lives.at(-1)];
    if (last.end !== undefined) return `life ${last.number} has ended, waiting for the next`;
    const alive = `life ${last.number}, up ${duration(now - last.start)}`;
    return before ? `${alive}; the one before ended ${duration(last.start - before.end)} earlier` : alive;
  }
}

const clock = (ms) => new Date(ms).toLocaleTimeString();

function duration(ms) {
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 120e3) return Math.round(ms / 1000) + " s";
  if (ms < 7200e3) return Math.round(ms / 60e3) + " min";
  return Math.round(ms / 3600e3) + " h";
}
